#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_tagging_fuzz::{Cuts, control, exchange};

const PATHS: [&str; 3] = ["/api/chat", "/api/generate", "/v1/chat"];
const CONTENT_TYPES: [&str; 3] = ["application/x-ndjson", "application/jsonl", "application/stream+json"];

fuzz_target!(|data: &[u8]| {
    let mut body = data;
    let how = usize::from(control(&mut body));
    let cuts = Cuts::read(&mut body);
    exchange(PATHS[how % PATHS.len()], Some(CONTENT_TYPES[how / 3 % CONTENT_TYPES.len()]), None, &cuts, body);
});
