use http::HeaderMap;

use super::context::{SpanId, TraceId};

/// What a valid `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traceparent {
    pub(super) trace_id: TraceId,
    pub(super) parent_id: SpanId,
    pub(super) flags: u8,
}

/// The `traceparent` of a request: `None` when there is none, an error with the reason when it is not valid.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<Traceparent>, &'static str> {
    let mut values = headers.get_all("traceparent").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("more than one header");
    }
    let text = value.to_str().map_err(|_| "not visible ASCII")?;
    parse(text.trim_matches([' ', '\t'])).map(Some)
}

fn parse(text: &str) -> Result<Traceparent, &'static str> {
    let mut parts = text.splitn(5, '-');
    let mut part = || parts.next().unwrap_or_default();
    let version = hex_byte(part()).ok_or("the version is not 2 lower-case hex digits")?;
    let trace_id = TraceId::from_hex(part()).ok_or("the trace id is not 32 lower-case hex digits, or all zero")?;
    let parent_id = SpanId::from_hex(part()).ok_or("the parent id is not 16 lower-case hex digits, or all zero")?;
    let flags = hex_byte(part()).ok_or("the flags are not 2 lower-case hex digits")?;
    match (version, parts.next()) {
        (0xff, _) => Err("version ff"),
        (0, Some(_)) => Err("version 00 has four parts"),
        _ => Ok(Traceparent { trace_id, parent_id, flags }),
    }
}

fn hex_byte(text: &str) -> Option<u8> {
    let is_hex = text.len() == 2 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { u8::from_str_radix(text, 16).ok() } else { None }
}
