/// A body whose media type leaves its framing open, before the first bytes that show it.
///
/// Servers and proxies often leave out the media type, or send JSON as an event stream and the other way around.
pub(in crate::usage) struct Undecided {
    /// The first bytes after a byte order mark and white space.
    head: Vec<u8>,
    is_at_start: bool,
    /// The media type is that of server-sent events.
    announces_sse: bool,
    /// A JSON body may hold several documents.
    may_stream: bool,
}

/// The framing that the first bytes show.
pub(super) enum Decision {
    Json,
    Documents,
    Sse,
}

/// What the first bytes of a body show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// More bytes are needed.
    None,
    Json,
    Sse,
    Other,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Undecided {
    pub(super) fn new(announces_sse: bool, may_stream: bool) -> Self {
        Self { head: Vec::new(), is_at_start: true, announces_sse, may_stream }
    }

    /// Returns `true` if the body is expected to be a stream.
    pub(super) fn may_be_stream(&self) -> bool {
        self.announces_sse || self.may_stream
    }

    /// Reads a chunk. Returns the framing and the bytes to feed to it, once they are known.
    pub(super) fn decide(&mut self, bytes: &[u8]) -> Option<(Decision, Vec<u8>)> {
        self.head.extend_from_slice(bytes);
        if self.is_at_start {
            if let Some(rest) = self.head.strip_prefix(BYTE_ORDER_MARK) {
                self.head = rest.to_vec();
            } else if BYTE_ORDER_MARK.starts_with(&self.head) {
                return None;
            }
            self.is_at_start = false;
        }
        let space = self.head.len() - self.head.trim_ascii_start().len();
        self.head.drain(..space);
        let evidence = evidence(&self.head);
        (evidence != Evidence::None).then(|| (self.decision(evidence), std::mem::take(&mut self.head)))
    }

    /// Returns the framing of a body that ended before its first bytes showed one, and the bytes to feed to it.
    pub(super) fn end(mut self) -> (Decision, Vec<u8>) {
        let head = std::mem::take(&mut self.head);
        (self.decision(Evidence::None), head)
    }

    fn decision(&self, evidence: Evidence) -> Decision {
        let is_sse = match evidence {
            Evidence::Sse => true,
            Evidence::Json => false,
            Evidence::None | Evidence::Other => self.announces_sse,
        };
        if is_sse {
            Decision::Sse
        } else if self.may_stream {
            Decision::Documents
        } else {
            Decision::Json
        }
    }
}

/// Returns `true` if a body that begins with these bytes is a stream of server-sent events.
pub(in crate::usage) fn begins_as_sse(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    evidence(bytes.trim_ascii_start()) == Evidence::Sse
}

/// Returns what the first bytes after white space show.
fn evidence(head: &[u8]) -> Evidence {
    const FIELDS: [&[u8]; 5] = [b":", b"data:", b"event:", b"id:", b"retry:"];
    match head.first() {
        None => Evidence::None,
        Some(b'{' | b'[') => Evidence::Json,
        Some(_) if FIELDS.iter().any(|field| head.starts_with(field)) => Evidence::Sse,
        Some(_) if FIELDS.iter().any(|field| field.starts_with(head)) => Evidence::None,
        Some(_) => Evidence::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::{Evidence, begins_as_sse, evidence};

    #[test]
    fn the_first_bytes_show_the_framing() {
        for (head, expected) in [
            ("", Evidence::None),
            ("da", Evidence::None),
            ("data", Evidence::None),
            ("{", Evidence::Json),
            ("[1", Evidence::Json),
            ("data:", Evidence::Sse),
            ("event: x", Evidence::Sse),
            (": ping", Evidence::Sse),
            ("retry:1", Evidence::Sse),
            ("<html>", Evidence::Other),
            ("dated", Evidence::Other),
        ] {
            assert_eq!(evidence(head.as_bytes()), expected, "{head}");
        }
        assert!(begins_as_sse("\u{feff}\r\n data: {}".as_bytes()) && !begins_as_sse(b"{\"data:\":1}"));
    }
}
