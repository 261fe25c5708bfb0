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
    // Every part has its place: 00-<32 hex digits>-<16 hex digits>-00, and more behind a dash in later versions.
    let Some((known, behind)) = header.trim_ascii().split_first_chunk::<TRACEPARENT_LEN>() else {
        return Err("shorter than 55 characters");
    };
    let ([version_1, version_2, dash_1], rest) = known.split_first_chunk::<3>().ok_or("")?;
    let (trace_id, rest) = rest.split_first_chunk::<32>().ok_or("")?;
    let ([dash_2], rest) = rest.split_first_chunk::<1>().ok_or("")?;
    let (parent_id, rest) = rest.split_first_chunk::<16>().ok_or("")?;
    let ([dash_3, flags_1, flags_2], _) = rest.split_first_chunk::<3>().ok_or("")?;
    if [dash_1, dash_2, dash_3] != [&b'-'; 3] {
        return Err("the parts are not divided by dashes");
    }
    let version = hex_byte(*version_1, *version_2).ok_or("the version is not 2 lower-case hex digits")?;
    let trace_id = TraceId::from_hex_digits(*trace_id).ok_or("the trace id is not lower-case hex, or all zero")?;
    let parent_id = SpanId::from_hex_digits(*parent_id).ok_or("the parent id is not lower-case hex, or all zero")?;
    let flags = hex_byte(*flags_1, *flags_2).ok_or("the flags are not 2 lower-case hex digits")?;
    match (version, behind.first()) {
        (0xff, _) => Err("version ff"),
        (0, Some(_)) => Err("version 00 has four parts"),
        (_, Some(byte)) if *byte != b'-' => Err("the flags are not 2 lower-case hex digits"),
        _ => Ok(Traceparent { trace_id, parent_id, flags }),
    }
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}
