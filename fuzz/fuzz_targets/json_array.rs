#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_tagging_fuzz::{Cuts, exchange};

fuzz_target!(|data: &[u8]| {
    let mut body = data;
    let cuts = Cuts::read(&mut body);
    exchange("/v1/models/m:streamGenerateContent", Some("application/json"), None, &cuts, body);
});
