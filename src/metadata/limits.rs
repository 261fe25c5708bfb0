use super::overflow::Overflow;

/// Limits on the length and number of tags.
///
/// ```
/// use tower_tagging::metadata::{Limits, Overflow};
///
/// let limits = Limits::default().value_chars(256).tags(50).overflow(Overflow::Drop);
/// ```
///
/// The limits apply to each [scope](super::Scope) on its own. Tags that a client sends therefore leave room for those that
/// code sets. NUL and other control characters are removed before the length is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    pub(super) value_chars: usize,
    pub(super) key_chars: usize,
    pub(super) total_bytes: usize,
    pub(super) tags: usize,
    pub(super) overflow: Overflow,
}

impl Default for Limits {
    /// Returns limits of 128 characters per key and per value, 32 KiB per scope, and any number of tags.
    fn default() -> Self {
        Self {
            value_chars: 128,
            key_chars: 128,
            total_bytes: 32 * 1024,
            tags: usize::MAX,
            overflow: Overflow::Truncate,
        }
    }
}

impl Limits {
    /// Sets the maximum length of a value, in characters (not bytes).
    pub fn value_chars(mut self, chars: usize) -> Self {
        self.value_chars = chars;
        self
    }

    /// Sets the maximum length of a key, in characters (not bytes).
    pub fn key_chars(mut self, chars: usize) -> Self {
        self.key_chars = chars;
        self
    }

    /// Sets the maximum size of all keys and values of a scope, in bytes.
    pub fn total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Sets the maximum number of tags in a scope.
    pub fn tags(mut self, tags: usize) -> Self {
        self.tags = tags;
        self
    }

    /// Sets the treatment of tags that exceed a limit.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Returns `true` if requests that exceed these limits are rejected.
    pub(crate) fn rejects(&self) -> bool {
        self.overflow == Overflow::Reject
    }
}
