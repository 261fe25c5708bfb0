#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_tagging_fuzz::{Cuts, control, exchange};

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

fuzz_target!(|data: &[u8]| {
    let mut body = data;
    let coding = CODINGS[usize::from(control(&mut body)) % CODINGS.len()];
    let cuts = Cuts::read(&mut body);
    exchange("/v1/chat/completions", Some("text/event-stream"), Some(coding), &cuts, body);
});
