#![no_main]

//! The first bytes of a body decide its framing where media types are often wrong, and nothing depends on the frames.

use libfuzzer_sys::fuzz_target;
use tower_tagging_fuzz::{Cuts, control, exchange, exchange_as};

const PATHS: [&str; 5] =
    ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/audio/transcriptions", "/api/chat"];

/// The media types that do not decide.
const SNIFFED: [Option<&str>; 6] = [
    None,
    Some("text/plain; charset=utf-8"),
    Some("application/json"),
    Some("application/problem+json"),
    Some("text/event-stream"),
    Some("application/json, text/event-stream"),
];
const OTHERS: [Option<&str>; 4] =
    [Some("application/x-ndjson"), Some("text/html"), Some("application/octet-stream"), Some("audio/mpeg")];

fuzz_target!(|data: &[u8]| {
    let mut body = data;
    let path = PATHS[usize::from(control(&mut body)) % PATHS.len()];
    let content_type = usize::from(control(&mut body)) % (SNIFFED.len() + OTHERS.len());
    let cuts = Cuts::read(&mut body);
    let content_type = *SNIFFED.iter().chain(&OTHERS).nth(content_type).unwrap();
    exchange(path, content_type, None, &cuts, body);
    // A transcript in plain text is never read.
    if shows_framing(body) && !path.ends_with("transcriptions") {
        exchange_as(path, &SNIFFED, body);
    }
});

fn shows_framing(body: &[u8]) -> bool {
    let start = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    [&b"{"[..], b"[", b":", b"data:", b"event:", b"id:", b"retry:"].iter().any(|mark| start.starts_with(mark))
}
