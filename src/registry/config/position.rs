//! Lines and columns of a text.

/// The lines of a text.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// The offsets at which lines start.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes());
        Self { text, starts: std::iter::once(0).chain(ends.map(|end| end + 1)).collect() }
    }

    /// Returns the line and the column of an offset in bytes. Both count from 1, and columns are characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.as_bytes().get(start..offset.min(self.text.len())).unwrap_or_default();
        // Every byte that does not continue a character starts one.
        (line, 1 + before.iter().filter(|byte| **byte & 0xc0 != 0x80).count())
    }

    /// Returns the offset of a line and a column in bytes, both counted from 1.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        (start + column.saturating_sub(1)).min(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn columns_are_characters() {
        let text = "ä = 1\n\nzoë = x";
        let lines = Lines::new(text);
        for (part, expected) in [("ä", (1, 1)), ("1", (1, 5)), ("zoë", (3, 1)), ("x", (3, 7))] {
            assert_eq!(lines.position(text.find(part).unwrap()), expected, "{part}");
        }
        assert_eq!(lines.position(text.len()), (3, 8));
        assert_eq!(lines.position(1_000), (3, 8));
        assert_eq!(lines.offset(3, 1), text.find("zoë").unwrap());
        assert_eq!(Lines::new("").position(0), (1, 1));
    }
}
