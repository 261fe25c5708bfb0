/// The tags of a metadata map, sorted by key.
///
/// All text of a map lies in one buffer. A map therefore costs two allocations however many tags it has, and none if its
/// buffers are reused for the next request.
#[derive(Clone, Default)]
pub(crate) struct TagTable {
    text: String,
    tags: Vec<Span>,
    /// Bytes of the text that tags refer to. Replaced values stay in the text until it is packed.
    live_bytes: usize,
    bounds: Bounds,
}

/// Upper bounds on the tags that were ever written, so that limits can be checked without looking at every tag.
#[derive(Clone, Copy, Default)]
struct Bounds {
    longest_key: usize,
    longest_value: usize,
    has_unprintable: bool,
}

/// The position of one tag in the text: its key, directly followed by its value.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    key_len: usize,
    value_len: usize,
}

/// Bytes of unused text that are tolerated before the buffer is packed again.
const SLACK_BYTES: usize = 4096;

/// Returns `true` if key and value are printable ASCII and the key is not empty, as in almost all tags.
pub(super) fn is_printable_tag(key: &str, value: &str) -> bool {
    // Without an early exit the compiler checks many bytes at a time.
    let is_printable = |text: &str| text.bytes().fold(true, |is, byte| is & (byte.wrapping_sub(b' ') < 95));
    !key.is_empty() && is_printable(key) && is_printable(value)
}

impl TagTable {
    /// Returns the position of a key, or the position to insert it at.
    pub(super) fn find(&self, key: &str) -> Result<usize, usize> {
        // Keys mostly arrive in order when maps are merged or deserialized.
        match self.tags.last() {
            None => Err(0),
            Some(last) if self.key(*last) < key => Err(self.tags.len()),
            Some(_) => self.tags.binary_search_by(|span| self.key(*span).cmp(key)),
        }
    }

    pub(super) fn tag_at(&self, at: usize) -> Option<(&str, &str)> {
        self.tags.get(at).map(|span| (self.key(*span), self.value(*span)))
    }

    pub(super) fn key_at(&self, at: usize) -> Option<&str> {
        self.tags.get(at).map(|span| self.key(*span))
    }

    pub(super) fn value_at(&self, at: usize) -> Option<&str> {
        self.tags.get(at).map(|span| self.value(*span))
    }

    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.live_bytes
    }

    pub(super) fn capacity_bytes(&self) -> usize {
        self.text.capacity() + self.tags.capacity() * size_of::<Span>()
    }

    /// Returns `true` if all tags are printable ASCII within these lengths in bytes. May return `false` although they are.
    pub(super) fn is_printable_within(&self, key_bytes: usize, value_bytes: usize) -> bool {
        let Bounds { longest_key, longest_value, has_unprintable } = self.bounds;
        !has_unprintable && longest_key <= key_bytes && longest_value <= value_bytes
    }

    /// Inserts a tag at the position that [`find`](Self::find) returned. `is_printable` is the result of
    /// [`is_printable_tag`], or `false` if that is not known.
    pub(super) fn insert_at(&mut self, at: usize, key: &str, value: &str, is_printable: bool) {
        self.reserve();
        let span = self.write(key, value, is_printable);
        self.tags.insert(at, span);
    }

    /// Replaces the tag at a position that [`find`](Self::find) returned.
    pub(super) fn replace_at(&mut self, at: usize, key: &str, value: &str, is_printable: bool) {
        let span = self.write(key, value, is_printable);
        if let Some(place) = self.tags.get_mut(at) {
            let old = std::mem::replace(place, span);
            self.live_bytes -= old.len();
        }
        self.keep_packed();
    }

    /// Appends a tag of another table, whose key is greater than all keys of this one.
    pub(super) fn append_from(&mut self, other: &Self, at: usize) {
        let Some(span) = other.tags.get(at) else { return };
        self.reserve();
        let start = self.text.len();
        self.text.push_str(other.slice(span.start, span.len()));
        self.tags.push(Span { start, ..*span });
        self.live_bytes += span.len();
        self.bounds.include(span, !other.bounds.has_unprintable);
    }

    /// Removes a tag and returns its value.
    pub(super) fn remove(&mut self, key: &str) -> Option<String> {
        let at = self.find(key).ok()?;
        let span = self.tags.remove(at);
        let value = self.value(span).to_owned();
        self.live_bytes -= span.len();
        self.keep_packed();
        Some(value)
    }

    fn key(&self, span: Span) -> &str {
        self.slice(span.start, span.key_len)
    }

    fn value(&self, span: Span) -> &str {
        self.slice(span.start + span.key_len, span.value_len)
    }

    /// Returns text that [`write`](Self::write) has written. An empty result for any other range is a bug in this file.
    fn slice(&self, start: usize, len: usize) -> &str {
        let text = self.text.get(start..start + len);
        debug_assert!(text.is_some(), "no tag at {start}..{}", start + len);
        text.unwrap_or_default()
    }

    fn write(&mut self, key: &str, value: &str, is_printable: bool) -> Span {
        let span = Span { start: self.text.len(), key_len: key.len(), value_len: value.len() };
        self.text.push_str(key);
        self.text.push_str(value);
        self.live_bytes += span.len();
        self.bounds.include(&span, is_printable);
        span
    }

    /// Allocates room for a typical request at once.
    fn reserve(&mut self) {
        if self.tags.capacity() == 0 {
            self.text.reserve(256);
            self.tags.reserve(8);
        }
    }

    fn keep_packed(&mut self) {
        if self.text.len() > 2 * self.live_bytes + SLACK_BYTES {
            let mut packed = Self::default();
            for (at, _) in self.tags.iter().enumerate() {
                packed.append_from(self, at);
            }
            *self = packed;
        }
    }
}

impl Bounds {
    fn include(&mut self, span: &Span, is_printable: bool) {
        self.longest_key = self.longest_key.max(span.key_len);
        self.longest_value = self.longest_value.max(span.value_len);
        self.has_unprintable |= !is_printable;
    }
}

impl Span {
    fn len(&self) -> usize {
        self.key_len + self.value_len
    }
}

#[cfg(test)]
mod tests {
    use super::{SLACK_BYTES, TagTable};

    fn set(table: &mut TagTable, key: &str, value: &str) {
        match table.find(key) {
            Ok(at) => table.replace_at(at, key, value, true),
            Err(at) => table.insert_at(at, key, value, true),
        }
    }

    #[test]
    fn releases_the_text_of_replaced_values() {
        let mut table = TagTable::default();
        set(&mut table, "b", "kept");
        for round in 0..1_000 {
            set(&mut table, "a", &format!("{round:0100}"));
            assert!(table.text.len() <= 2 * table.text_bytes() + SLACK_BYTES + 101);
        }
        assert_eq!(table.tag_at(0), Some(("a", format!("{:0100}", 999).as_str())));
        assert_eq!(table.tag_at(1), Some(("b", "kept")));
        assert_eq!(table.text_bytes(), 106);
        assert_eq!(table.remove("a").map(|value| value.len()), Some(100));
        assert_eq!((table.len(), table.text_bytes(), table.remove("a")), (1, 5, None));
    }

    #[test]
    fn bounds_cover_every_tag_ever_written() {
        let mut table = TagTable::default();
        assert!(table.is_printable_within(0, 0));
        set(&mut table, "key", "value");
        assert!(
            table.is_printable_within(3, 5) && !table.is_printable_within(3, 4) && !table.is_printable_within(2, 5)
        );
        let mut copy = TagTable::default();
        copy.append_from(&table, 0);
        assert!(copy.is_printable_within(3, 5) && !copy.is_printable_within(2, 5));
        table.insert_at(1, "ü", "", false);
        copy.append_from(&table, 1);
        assert!(!table.is_printable_within(9, 9) && !copy.is_printable_within(9, 9));
    }
}
