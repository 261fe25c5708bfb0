#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_tagging_fuzz::{Cuts, control, exchange};

const PATHS: [&str; 3] = ["/v1/chat/completions", "/v1/messages", "/v1/responses"];

fuzz_target!(|data: &[u8]| {
    let mut body = data;
    let path = PATHS[usize::from(control(&mut body)) % PATHS.len()];
    let cuts = Cuts::read(&mut body);
    exchange(path, Some("text/event-stream"), None, &cuts, body);
});
