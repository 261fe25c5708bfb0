use super::{span_id::SpanId, trace_id::TraceId};

/// The content of a `traceparent` header, according to
/// [W3C Trace Context](https://www.w3.org/TR/trace-context-2/#traceparent-header).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traceparent {
    pub(super) trace_id: TraceId,
    pub(super) parent_id: SpanId,
    pub(super) flags: u8,
}

/// The flag for traces that are recorded.
pub(super) const SAMPLED: u8 = 1;

/// The flags that version 00 defines: sampled, and random trace id.
pub(super) const DEFINED_FLAGS: u8 = 0b11;

/// The length of a `traceparent` of version 00, in bytes.
const LEN: usize = 55;

/// The position of the trace id within a `traceparent`, in bytes.
pub(super) const TRACE_ID: std::ops::Range<usize> = 3..35;

/// The fixed part of every version: `00-<32 hex digits>-<16 hex digits>-00`.
struct Parts<'h> {
    version: [u8; 2],
    trace_id: [u8; 32],
    parent_id: [u8; 16],
    flags: [u8; 2],
    dashes: [u8; 3],
    rest: &'h [u8],
}

impl<'h> Parts<'h> {
    /// Splits a header by position. Returns `None` if it is too short.
    fn split(header: &'h [u8]) -> Option<Self> {
        let ([version_1, version_2, dash_1], rest) = header.split_first_chunk()?;
        let (trace_id, rest) = rest.split_first_chunk()?;
        let ([dash_2], rest) = rest.split_first_chunk()?;
        let (parent_id, rest) = rest.split_first_chunk()?;
        let ([dash_3, flags_1, flags_2], rest) = rest.split_first_chunk()?;
        Some(Self {
            version: [*version_1, *version_2],
            trace_id: *trace_id,
            parent_id: *parent_id,
            flags: [*flags_1, *flags_2],
            dashes: [*dash_1, *dash_2, *dash_3],
            rest,
        })
    }
}

impl Traceparent {
    /// Parses a header. The error is the reason why it is not valid.
    pub(super) fn parse(header: &[u8]) -> Result<Self, &'static str> {
        let parts = Parts::split(header.trim_ascii()).ok_or("shorter than 55 characters")?;
        if parts.dashes != [b'-'; 3] {
            return Err("the parts are not separated by dashes");
        }
        let version = hex_byte(parts.version).ok_or("the version is not 2 lowercase hex digits")?;
        let trace_id =
            TraceId::from_hex_digits(parts.trace_id).ok_or("the trace id is not lowercase hex or is zero")?;
        let parent_id =
            SpanId::from_hex_digits(parts.parent_id).ok_or("the parent id is not lowercase hex or is zero")?;
        let flags = hex_byte(parts.flags).ok_or("the flags are not 2 lowercase hex digits")?;
        match (version, parts.rest.first()) {
            (0xff, _) => Err("version ff is not allowed"),
            (0, Some(_)) => Err("longer than 55 characters in version 00"),
            // Later versions may add parts after a dash.
            (_, Some(byte)) if *byte != b'-' => Err("the flags are not 2 lowercase hex digits"),
            _ => Ok(Self { trace_id, parent_id, flags }),
        }
    }

    /// Formats a header of version 00 with the flags that this version defines.
    pub(super) fn to_header(self) -> [u8; LEN] {
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-00";
        header[3..35].copy_from_slice(self.trace_id.digits());
        header[36..52].copy_from_slice(self.parent_id.digits());
        header[54] = b'0' + (self.flags & DEFINED_FLAGS);
        header
    }
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::{TRACE_ID, Traceparent};

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn formats_what_it_parses() {
        let parsed = Traceparent::parse(VALID.as_bytes()).unwrap();
        assert_eq!(parsed.trace_id.as_str(), &VALID[TRACE_ID]);
        assert_eq!((parsed.parent_id.as_str(), parsed.flags), ("b7ad6b7169203331", 1));
        assert_eq!(parsed.to_header(), VALID.as_bytes());
        let all_flags = Traceparent { flags: 0xff, ..parsed };
        assert_eq!(all_flags.to_header().last(), Some(&b'3'), "only the defined flags are written");
    }

    #[test]
    fn ignores_the_additions_of_later_versions() {
        let parsed = Traceparent::parse(VALID.as_bytes());
        for later in [VALID.replacen("00", "cc", 1), VALID.replacen("00", "01", 1) + "-more", format!(" {VALID}\t")] {
            assert_eq!(Traceparent::parse(later.as_bytes()), parsed, "{later}");
        }
    }

    #[test]
    fn reports_the_reason_for_invalid_headers() {
        for (header, reason) in [
            ("", "shorter"),
            (&VALID[..54], "shorter"),
            (&VALID.replace('-', "_"), "dashes"),
            (&VALID.replacen("00", "0A", 1), "version is not"),
            (&VALID.replacen("00", "ff", 1), "version ff"),
            (&VALID.replace("0af7", "0AF7"), "trace id"),
            (&VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)), "trace id"),
            (&VALID.replace("b7ad6b7169203331", &"0".repeat(16)), "parent id"),
            (&VALID.replace("-01", "-0g"), "flags"),
            (&(VALID.replacen("00", "01", 1) + "1"), "flags"),
            (&(VALID.to_owned() + "-more"), "longer"),
        ] {
            let error = Traceparent::parse(header.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{header}: {error}");
        }
    }
}
