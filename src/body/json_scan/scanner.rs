use memchr::memchr2;

use super::{
    lexical::ends_scalar,
    wanted::{Level, Node, Roots, Want},
};

/// Maximum depth of objects in which values are wanted. The document itself has depth 1.
pub(super) const MAX_LEVELS: usize = 5;
/// Maximum length of a wanted key as it is written, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 256;

/// Finds wanted values in one document, or in several consecutive documents.
pub(crate) struct JsonScanner<F: 'static> {
    pub(super) roots: Roots,
    pub(super) state: State,
    /// The open objects and arrays in which something is wanted, outermost first. The first `level` ones are in use.
    pub(super) levels: [Level<F>; MAX_LEVELS],
    pub(super) level: usize,
    /// The number of open objects and arrays that are skipped or captured as a whole.
    pub(super) skipped_depth: usize,
    pub(super) awaiting_key: bool,
    /// The wanted part of the current key.
    pub(super) wanted: Option<&'static Want<F>>,
    /// The part of the current key or captured value that earlier chunks contained.
    pub(super) buffer: Vec<u8>,
    pub(super) max_value_bytes: usize,
    /// The name of the value that is being captured.
    pub(super) capturing: Option<F>,
    pub(super) documents: usize,
    /// The name under which the end of a document is reported.
    pub(super) end: Option<F>,
}

/// The kind of bytes that the scanner is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Between documents.
    Outside,
    /// Between the strings and scalars of a document.
    Structure,
    /// In a string.
    Text { escaped: bool },
    /// In a wanted number, `true`, `false`, or `null`.
    Scalar,
    /// After the only document.
    Done,
    /// In input that is not JSON.
    Broken,
}

impl<F: Copy> JsonScanner<F> {
    /// Creates a scanner. Values longer than `max_value_bytes` are reported without their text.
    pub(crate) fn new(wanted: &'static [Node<F>], roots: Roots, max_value_bytes: usize) -> Self {
        Self {
            roots,
            state: State::Outside,
            levels: [Level::object(wanted); MAX_LEVELS],
            level: 0,
            skipped_depth: 0,
            awaiting_key: false,
            wanted: None,
            buffer: Vec::new(),
            max_value_bytes,
            capturing: None,
            documents: 0,
            end: None,
        }
    }

    /// Returns the number of complete documents.
    pub(crate) fn documents(&self) -> usize {
        self.documents
    }

    /// Scans the next chunk and reports every wanted value as it is written, or `None` if it is too long.
    pub(crate) fn feed(&mut self, chunk: &[u8], found: &mut impl FnMut(F, Option<&[u8]>)) {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            rest = match self.state {
                State::Structure if self.skipped_depth == 0 => {
                    if let Some(len) = self.take_whole(*byte, rest, found) {
                        rest.get(len..).unwrap_or_default()
                    } else {
                        self.on_structural_byte(*byte, found);
                        after
                    }
                }
                State::Structure if self.capturing.is_none() => self.skip_container(rest),
                State::Done | State::Broken => return,
                _ => match rest.split_at(self.run_len(rest)) {
                    ([], _) => {
                        self.step(*byte, found);
                        after
                    }
                    (run, after_run) => {
                        self.keep(run);
                        after_run
                    }
                },
            };
        }
    }

    /// Returns how many of the next bytes do not change the state.
    fn run_len(&self, rest: &[u8]) -> usize {
        let until = |is_mark: fn(u8) -> bool| rest.iter().position(|byte| is_mark(*byte));
        let len = match self.state {
            State::Text { escaped: false } => memchr2(b'"', b'\\', rest),
            State::Scalar => until(ends_scalar),
            State::Structure => until(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']')),
            _ => Some(0),
        };
        len.unwrap_or(rest.len())
    }

    /// Returns the innermost open object or array in which something is wanted.
    pub(super) fn current_level(&self) -> Level<F> {
        let level = self.level.checked_sub(1).and_then(|at| self.levels.get(at));
        level.copied().unwrap_or(Level::object(&[]))
    }

    /// Buffers bytes that belong to a captured value, or to a key that may be a wanted one.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let max_bytes = match self.capturing {
            Some(_) => self.max_value_bytes,
            None if self.skipped_depth == 0 && self.awaiting_key => MAX_KEY_BYTES,
            None => return,
        };
        // One byte above the maximum marks the content as too long.
        let room = (max_bytes + 1).saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}
