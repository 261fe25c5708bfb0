use super::context::{SpanId, TRACEPARENT_LEN, TraceId};

/// What a valid `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traceparent {
    pub(super) trace_id: TraceId,
    pub(super) parent_id: SpanId,
    pub(super) flags: u8,
}

/// Reads a `traceparent` by W3C Trace Context; an error says why it is not valid.
pub(super) fn parse(header: &[u8]) -> Result<Traceparent, &'static str> {
    let text = std::str::from_utf8(header.trim_ascii()).map_err(|_| "not ASCII")?;
    // Every part has its place: 00-<32 hex digits>-<16 hex digits>-00, and more behind a dash in later versions.
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let version = hex_byte(part(0, 2)).ok_or("the version is not 2 lower-case hex digits")?;
    let trace_id = TraceId::from_hex(part(3, 35)).ok_or("the trace id is not 32 lower-case hex digits, or all zero")?;
    let parent_id =
        SpanId::from_hex(part(36, 52)).ok_or("the parent id is not 16 lower-case hex digits, or all zero")?;
    let flags = hex_byte(part(53, 55)).ok_or("the flags are not 2 lower-case hex digits")?;
    let has_dashes = [2, 35, 52].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    match (version, text.as_bytes().get(TRACEPARENT_LEN)) {
        (0xff, _) => Err("version ff"),
        (0, Some(_)) => Err("version 00 has four parts"),
        (_, Some(byte)) if *byte != b'-' => Err("the flags are not 2 lower-case hex digits"),
        _ if !has_dashes => Err("the parts are not divided by dashes"),
        _ => Ok(Traceparent { trace_id, parent_id, flags }),
    }
}

fn hex_byte(text: &str) -> Option<u8> {
    let is_hex = text.len() == 2 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { u8::from_str_radix(text, 16).ok() } else { None }
}
