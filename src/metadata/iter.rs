use std::fmt;

use super::tag_table::TagTable;

/// Iterator over the tags of a [`Metadata`](super::Metadata) as `(key, value)`, sorted by key.
#[derive(Clone)]
pub struct Iter<'a> {
    table: Option<&'a TagTable>,
    next: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn new(table: Option<&'a TagTable>) -> Self {
        Self { table, next: 0 }
    }
}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.table?.tag_at(self.next)?;
        self.next += 1;
        Some(tag)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.table.map_or(0, |table| table.len() - self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
