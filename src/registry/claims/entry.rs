use crate::config_error::ConfigError;

use super::glob::Glob;

/// One entry of [`Claims`](super::Claims): `KEY` or `KEY=GLOB`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Glob,
    /// `None` allows every value.
    pub(super) value: Option<Glob>,
}

impl Entry {
    /// Parses an entry.
    ///
    /// # Errors
    ///
    /// Returns an error if the key is empty or surrounded by white space, or if a part ends within an escape.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let invalid = |expected: &str| ConfigError::new(format!("invalid claim \"{text}\": expected {expected}"));
        let (key, value) = match separator(text).and_then(|at| text.split_at_checked(at)) {
            Some((key, value)) => (key, value.strip_prefix('=')),
            None => (text, None),
        };
        if key.is_empty() {
            return Err(invalid("a key, optionally followed by \"=glob\""));
        }
        if key.trim() != key {
            return Err(invalid("no white space around the key"));
        }
        let glob = |part| Glob::parse(part).ok_or_else(|| invalid("a character after the last \"\\\""));
        Ok(Self { key: glob(key)?, value: value.map(glob).transpose()? })
    }
}

/// Returns the position of the first equals sign that is not escaped.
fn separator(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let is_separator = byte == b'=' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_separator
    })
}
