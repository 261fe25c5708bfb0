use http::{HeaderName, HeaderValue};

/// The headers of a request that become tags, kept as they came: they are read when somebody asks for the tags.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    /// Names and values one behind the other, so that a request costs one buffer, which the next one uses again.
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
}

/// One header, in the order in which sources are read.
#[derive(Clone, Copy, Debug)]
struct Piece {
    source: Source,
    name_len: usize,
    value_len: usize,
}

/// Which part of an sources a header is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    JsonHeader,
    /// The prefix of this number. The name is kept.
    Prefixed(usize),
    /// The entry of the allow-list of this number.
    AllowListed(usize),
    Baggage,
    /// One that is marked sensitive: the name is kept, the value is not.
    Refused,
}

impl Captured {
    pub(super) fn add(&mut self, source: Source, value: &HeaderValue) {
        self.write(source, &[], value.as_bytes());
    }

    pub(super) fn add_named(&mut self, source: Source, name: &HeaderName, value: &HeaderValue) {
        self.write(source, name.as_str().as_bytes(), value.as_bytes());
    }

    pub(super) fn refuse(&mut self, name: &HeaderName) {
        self.write(Source::Refused, name.as_str().as_bytes(), &[]);
    }

    fn write(&mut self, source: Source, name: &[u8], value: &[u8]) {
        if self.pieces.capacity() == 0 {
            // Room for a usual request at once.
            self.bytes.reserve(256);
            self.pieces.reserve(8);
        }
        if !name.is_empty() {
            self.bytes.extend_from_slice(name);
        }
        self.bytes.extend_from_slice(value);
        self.pieces.push(Piece { source, name_len: name.len(), value_len: value.len() });
    }

    /// Source, name (where it was kept) and value of each header.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Source, &str, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.pieces.iter().map(move |piece| {
            let (name, behind) = rest.split_at_checked(piece.name_len).unwrap_or_default();
            let (value, behind) = behind.split_at_checked(piece.value_len).unwrap_or_default();
            rest = behind;
            (piece.source, std::str::from_utf8(name).unwrap_or_default(), value)
        })
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Empties it, and keeps its buffers when they are no larger than this.
    pub(crate) fn reset(&mut self, keep_bytes: usize) {
        if self.capacity_bytes() > keep_bytes {
            *self = Self::default();
        } else {
            self.bytes.clear();
            self.pieces.clear();
        }
    }
}
