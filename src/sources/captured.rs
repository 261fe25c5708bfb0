use http::{HeaderName, HeaderValue};

/// Copies of the headers that become tags. They are read later, when the tags are needed.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    /// Names and values one after the other, so that a request needs one buffer, which the next request reuses.
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

/// One header, in the order in which the sources are read.
#[derive(Clone, Copy, Debug)]
struct Piece {
    source: Source,
    name_len: usize,
    value_len: usize,
}

/// The source that a header was captured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    JsonHeader,
    /// The prefix with this index. The header's name is captured as well.
    Prefixed(usize),
    /// The allow-list entry with this index.
    AllowListed(usize),
    Baggage,
    /// A header that is marked sensitive. Its name is captured, its value is not.
    Refused,
}

impl Captured {
    pub(super) fn add(&mut self, source: Source, value: &HeaderValue) {
        self.write(source, "", value.as_bytes());
    }

    pub(super) fn add_named(&mut self, source: Source, name: &HeaderName, value: &HeaderValue) {
        self.write(source, name.as_str(), value.as_bytes());
    }

    pub(super) fn refuse(&mut self, name: &HeaderName) {
        self.write(Source::Refused, name.as_str(), &[]);
    }

    fn write(&mut self, source: Source, name: &str, value: &[u8]) {
        if self.pieces.capacity() == 0 {
            // Room for a typical request at once.
            self.bytes.reserve(256);
            self.pieces.reserve(8);
        }
        if !name.is_empty() {
            self.bytes.extend_from_slice(name.as_bytes());
        }
        self.bytes.extend_from_slice(value);
        self.pieces.push(Piece { source, name_len: name.len(), value_len: value.len() });
    }

    /// Returns the source, the name (if it was captured), and the value of each header.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Source, &str, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.pieces.iter().filter_map(move |piece| {
            let header = rest.split_at_checked(piece.name_len).and_then(|(name, rest)| {
                let (value, rest) = rest.split_at_checked(piece.value_len)?;
                Some((std::str::from_utf8(name).ok()?, value, rest))
            });
            debug_assert!(header.is_some(), "`write` records the lengths of what it appends");
            let (name, value, after) = header?;
            rest = after;
            Some((piece.source, name, value))
        })
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Removes all headers. Keeps the buffers if they have at most `keep_bytes`.
    pub(crate) fn reset(&mut self, keep_bytes: usize) {
        if self.capacity_bytes() > keep_bytes {
            *self = Self::default();
        } else {
            self.bytes.clear();
            self.pieces.clear();
        }
    }
}
