#![no_main]

//! Random bytes never have valid checksums, so each line of the input becomes a valid frame.

use base64::{Engine, engine::general_purpose::STANDARD};
use libfuzzer_sys::fuzz_target;
use tower_tagging_fuzz::{Cuts, control, exchange};

const PATHS: [&str; 2] = ["/model/m/converse-stream", "/model/m/invoke-with-response-stream"];
const EVENT_TYPES: [&str; 6] =
    ["chunk", "messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"];

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let flags = control(&mut rest);
    let cuts = Cuts::read(&mut rest);
    // Damage is applied to the finished frames.
    let damage = (flags >> 1) & 3;
    let at = if damage >= 2 { usize::from(u16::from_be_bytes([control(&mut rest), control(&mut rest)])) } else { 0 };
    let mask = if damage == 2 { control(&mut rest) } else { 0 };

    let mut body: Vec<u8> = rest.split(|byte| *byte == b'\n').flat_map(frame).collect();
    match damage {
        2 if !body.is_empty() => {
            let at = at % body.len();
            body[at] ^= mask;
        }
        3 => body.truncate(at),
        _ => {}
    }
    exchange(PATHS[usize::from(flags & 1)], Some("application/vnd.amazon.eventstream"), None, &cuts, &body);
});

/// Builds a frame from a line. The low three bits of the first byte select its kind: an event of one of the types (0 to 5), an
/// exception (6), or a frame whose headers are the following bytes, after their count (7). Bit 8 wraps the payload as
/// InvokeModel does.
fn frame(line: &[u8]) -> Vec<u8> {
    let mut payload = line;
    let kind = control(&mut payload);
    let mut headers = Vec::new();
    match usize::from(kind & 7) {
        7 => {
            let count = usize::from(control(&mut payload));
            let (own, rest) = payload.split_at(count.min(payload.len()));
            headers.extend_from_slice(own);
            payload = rest;
        }
        6 => {
            text_header(&mut headers, ":exception-type", "throttlingException");
            text_header(&mut headers, ":content-type", "application/json");
            text_header(&mut headers, ":message-type", "exception");
        }
        event => {
            text_header(&mut headers, ":event-type", EVENT_TYPES[event]);
            text_header(&mut headers, ":content-type", "application/json");
            text_header(&mut headers, ":message-type", "event");
        }
    }
    let payload = if kind & 8 == 0 {
        payload.to_vec()
    } else {
        format!(r#"{{"bytes":"{}","p":"abcdef"}}"#, STANDARD.encode(payload)).into_bytes()
    };

    let mut frame = Vec::new();
    // The total length includes the prelude and the final checksum.
    let total = 12 + headers.len() + payload.len() + 4;
    for length in [total, headers.len()] {
        frame.extend(u32::try_from(length).unwrap().to_be_bytes());
    }
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload);
    frame.extend(crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn text_header(headers: &mut Vec<u8>, name: &str, value: &str) {
    headers.push(u8::try_from(name.len()).unwrap());
    headers.extend(name.as_bytes());
    headers.push(7);
    headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    headers.extend(value.as_bytes());
}
