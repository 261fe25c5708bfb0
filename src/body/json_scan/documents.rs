//! Scanning several documents, which only response bodies need.

use super::scanner::{JsonScanner, State};

impl<F: Copy> JsonScanner<F> {
    /// Also reports the end of each document, under this name.
    pub(crate) fn names_end(mut self, name: F) -> Self {
        self.end = Some(name);
        self
    }

    /// Starts over with the next document. Keeps the buffer.
    pub(crate) fn restart(&mut self) {
        self.state = State::Outside;
        self.level = 0;
        self.skipped_depth = 0;
        self.capturing = None;
    }

    /// Returns `true` if the scanner is between documents.
    pub(crate) fn is_between_documents(&self) -> bool {
        matches!(self.state, State::Outside | State::Done)
    }

    /// Returns `true` if the input is not JSON.
    pub(crate) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }
}
