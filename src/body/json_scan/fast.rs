//! The fast path: keys and values that a chunk contains as a whole.

use super::{
    lexical::{container_len, ends_scalar, find_string_mark, string_len},
    scanner::{JsonScanner, State},
    wanted::Want,
};

impl<F: Copy> JsonScanner<F> {
    /// Takes a key or value that lies within the chunk as a whole, as most do. Nothing has to be buffered for it.
    ///
    /// Returns the number of bytes taken, or `None` if the slow path has to continue. The state is unchanged in that case.
    pub(super) fn take_whole(
        &mut self,
        byte: u8,
        rest: &[u8],
        found: &mut impl FnMut(F, Option<&[u8]>),
    ) -> Option<usize> {
        if self.awaiting_key {
            return if byte == b'"' { self.take_key(rest) } else { None };
        }
        let Some(Want::Value(name)) = self.wanted else {
            return if byte == b'"' { string_len(rest).ok() } else { None };
        };
        let len = match byte {
            b'"' => string_len(rest).ok()?,
            b'{' | b'[' => container_len(rest)?,
            b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => return None,
            _ => rest.iter().position(|byte| ends_scalar(*byte))?,
        };
        let value = rest.get(..len).filter(|value| value.len() <= self.max_value_bytes)?;
        found(*name, Some(value));
        Some(len)
    }

    /// Takes a key without escapes, and the colon if it follows directly.
    fn take_key(&mut self, rest: &[u8]) -> Option<usize> {
        let (_, text) = rest.split_first()?;
        let (key, after) = text.split_at_checked(find_string_mark(text)?)?;
        let level = self.current_level();
        if after.first() != Some(&b'"') || level.is_array {
            return None;
        }
        self.wanted = level.nodes.iter().find(|node| node.key.as_bytes() == key).map(|node| &node.want);
        let len = key.len() + 2;
        if rest.get(len) != Some(&b':') {
            return Some(len);
        }
        self.awaiting_key = false;
        Some(len + 1)
    }

    /// Skips the content of an object or array in which nothing is wanted, and returns the bytes after it.
    pub(super) fn skip_container<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            let len = match byte {
                b'"' => match string_len(rest) {
                    Ok(len) => len,
                    Err(escaped) => {
                        self.state = State::Text { escaped };
                        return &[];
                    }
                },
                b'{' | b'[' => {
                    self.skipped_depth += 1;
                    1
                }
                b'}' | b']' => {
                    self.skipped_depth -= 1;
                    if self.skipped_depth == 0 {
                        return after;
                    }
                    1
                }
                _ => 1,
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        rest
    }
}
