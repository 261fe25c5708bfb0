use std::{fmt, ops::Index, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

/// The ordered set of tags on one request: string keys with string values, sorted by key.
///
/// A clone is one reference count; the first write to a shared `Metadata` copies it. It serializes as
/// a JSON object and equality ignores how it was built:
///
/// ```
/// use tower_tagging::{Metadata, tags};
///
/// let tags = tags! { "team" => "growth", "env" => "prod" };
/// assert_eq!(tags.get("team"), Some("growth"));
/// assert_eq!(&tags["env"], "prod");
/// assert_eq!(serde_json::to_string(&tags)?, r#"{"env":"prod","team":"growth"}"#);
/// assert_eq!(serde_json::from_str::<Metadata>(r#"{"team":"growth","env":"prod"}"#)?, tags);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Metadata {
    // All text of a map lies in one buffer, so that a map costs two allocations however many tags it
    // has, and none when its buffers are reused for the next request.
    inner: Option<Arc<TagTable>>,
}

/// The tags of a [`Metadata`], open for writing.
#[derive(Clone, Default)]
pub(crate) struct TagTable {
    text: String,
    tags: Vec<Span>,
    live_bytes: usize,
    /// The longest key and value that were ever written, in bytes, and whether a text was more than printable ASCII: so
    /// that limits can be checked without looking at every tag.
    longest_key: usize,
    longest_value: usize,
    has_unprintable: bool,
}

/// Where one tag lies in the text: its key, and the value right behind it.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    key_len: usize,
    value_len: usize,
}

/// Whether key and value are printable ASCII and the key is not empty, as nearly all are.
pub(crate) fn is_printable_tag(key: &str, value: &str) -> bool {
    // Without an early end the bytes are checked many at a time.
    let is_printable = |text: &str| text.bytes().fold(true, |is, byte| is & (byte.wrapping_sub(b' ') < 95));
    !key.is_empty() && is_printable(key) && is_printable(value)
}

/// Text that replaced values may leave unused before the buffer is packed again, in bytes.
const SLACK_BYTES: usize = 4096;

impl TagTable {
    fn tag(&self, span: Span) -> (&str, &str) {
        let bytes = span.key_len + span.value_len;
        let tag = self.text.get(span.start..span.start + bytes).unwrap_or_default();
        tag.split_at_checked(span.key_len).unwrap_or_default()
    }

    fn key(&self, span: Span) -> &str {
        self.text.get(span.start..span.start + span.key_len).unwrap_or_default()
    }

    fn value(&self, span: Span) -> &str {
        self.tag(span).1
    }

    /// Where the key is, or where it belongs.
    pub(crate) fn find(&self, key: &str) -> Result<usize, usize> {
        // Keys mostly arrive in order when maps are merged or read back.
        match self.tags.last() {
            None => Err(0),
            Some(last) if self.key(*last) < key => Err(self.tags.len()),
            Some(_) => self.tags.binary_search_by(|span| self.key(*span).cmp(key)),
        }
    }

    pub(crate) fn value_at(&self, at: usize) -> Option<&str> {
        self.tags.get(at).map(|span| self.value(*span))
    }

    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.live_bytes
    }

    fn write(&mut self, key: &str, value: &str, is_printable: bool) -> Span {
        let start = self.text.len();
        self.text.push_str(key);
        self.text.push_str(value);
        self.live_bytes += key.len() + value.len();
        self.longest_key = self.longest_key.max(key.len());
        self.longest_value = self.longest_value.max(value.len());
        self.has_unprintable |= !is_printable;
        Span { start, key_len: key.len(), value_len: value.len() }
    }

    fn is_printable_within(&self, key_bytes: usize, value_bytes: usize) -> bool {
        !self.has_unprintable && self.longest_key <= key_bytes && self.longest_value <= value_bytes
    }

    /// Writes a tag where its key belongs. `is_printable` says that [`is_printable_tag`] holds.
    pub(crate) fn insert_at(&mut self, at: usize, key: &str, value: &str, is_printable: bool) {
        if self.tags.capacity() == 0 {
            self.reserve();
        }
        let span = self.write(key, value, is_printable);
        self.tags.insert(at, span);
    }

    pub(crate) fn replace_at(&mut self, at: usize, key: &str, value: &str, is_printable: bool) {
        let span = self.write(key, value, is_printable);
        if let Some(old) = self.tags.get_mut(at) {
            self.live_bytes -= old.key_len + old.value_len;
            *old = span;
        }
        self.keep_packed();
    }

    fn remove_at(&mut self, at: usize) {
        let span = self.tags.remove(at);
        self.live_bytes -= span.key_len + span.value_len;
        self.keep_packed();
    }

    fn keep_packed(&mut self) {
        if self.text.len() > 2 * self.live_bytes + SLACK_BYTES {
            self.pack();
        }
    }

    /// Adds the next tag of another table, which belongs behind all there are.
    pub(crate) fn append_next(&mut self, other: &Iter<'_>) {
        let Some((other, span)) = other.inner.and_then(|inner| Some((inner, *inner.tags.get(other.next)?))) else {
            return;
        };
        if self.tags.capacity() == 0 {
            self.reserve();
        }
        let start = self.text.len();
        let bytes = span.key_len + span.value_len;
        self.text.push_str(other.text.get(span.start..span.start + bytes).unwrap_or_default());
        self.tags.push(Span { start, ..span });
        self.live_bytes += bytes;
        self.longest_key = self.longest_key.max(span.key_len);
        self.longest_value = self.longest_value.max(span.value_len);
        self.has_unprintable |= other.has_unprintable;
    }

    /// Room for a usual request at once.
    fn reserve(&mut self) {
        self.text.reserve(256);
        self.tags.reserve(8);
    }

    fn capacity_bytes(&self) -> usize {
        self.text.capacity() + self.tags.capacity() * size_of::<Span>()
    }

    fn pack(&mut self) {
        let mut packed = Self::default();
        for span in &self.tags {
            let (key, value) = self.tag(*span);
            let span = packed.write(key, value, !self.has_unprintable);
            packed.tags.push(span);
        }
        *self = packed;
    }
}

impl Metadata {
    /// About the bytes that it takes in memory.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.inner.as_ref().map_or(0, |table| table.text.capacity() + table.tags.capacity() * size_of::<Span>())
    }

    /// Whether both are references to the same tags, which take their bytes once.
    pub(crate) fn shares_with(&self, other: &Self) -> bool {
        self.inner.as_ref().zip(other.inner.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// A map with no tags; allocates nothing.
    pub const fn new() -> Self {
        Self { inner: None }
    }

    /// The value of `key`, if it is there.
    pub fn get(&self, key: &str) -> Option<&str> {
        let inner = self.inner.as_deref()?;
        let at = inner.find(key).ok()?;
        Some(inner.value(*inner.tags.get(at)?))
    }

    /// Whether `key` is there, with whatever value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.inner.as_deref().is_some_and(|inner| inner.find(key).is_ok())
    }

    /// How many tags there are.
    pub fn len(&self) -> usize {
        self.inner.as_deref().map_or(0, |inner| inner.tags.len())
    }

    /// Whether there is no tag.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values together; what [`Limits::total_bytes`](super::Limits::total_bytes) limits.
    pub fn text_bytes(&self) -> usize {
        self.inner.as_deref().map_or(0, |inner| inner.live_bytes)
    }

    /// The tags in the order of their keys.
    pub fn iter(&self) -> Iter<'_> {
        Iter { inner: self.inner.as_deref(), next: 0 }
    }

    /// Sets `key` to `value`, replacing the value it had.
    ///
    /// No limit applies here: a map built in code is checked where it is handed to a layer.
    pub fn insert(&mut self, key: impl AsRef<str>, value: impl AsRef<str>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        let is_printable = is_printable_tag(key, value);
        let inner = self.open();
        match inner.find(key) {
            Ok(at) => inner.replace_at(at, key, value, is_printable),
            Err(at) => inner.insert_at(at, key, value, is_printable),
        }
    }

    /// Takes a tag out and gives the value it had.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let value = self.get(key)?.to_owned();
        let inner = self.open();
        inner.remove_at(inner.find(key).ok()?);
        Some(value)
    }

    /// Empties the map, keeping its buffers for the next use when nobody else reads them and they are
    /// no larger than `keep_bytes`.
    pub(crate) fn reset(&mut self, keep_bytes: usize) {
        match self.inner.as_mut().and_then(Arc::get_mut) {
            Some(inner) if inner.capacity_bytes() <= keep_bytes => {
                inner.text.clear();
                inner.tags.clear();
                let TagTable { live_bytes, longest_key, longest_value, has_unprintable, .. } = inner;
                (*live_bytes, *longest_key, *longest_value, *has_unprintable) = (0, 0, 0, false);
            }
            _ => self.inner = None,
        }
    }

    /// Whether every key and value is printable ASCII of no more than these bytes, and no key is empty. May say no where
    /// it is so.
    pub(crate) fn is_printable_within(&self, key_bytes: usize, value_bytes: usize) -> bool {
        self.inner.as_deref().is_none_or(|inner| inner.is_printable_within(key_bytes, value_bytes))
    }

    /// The tags, to write several of them; copies them first when they are shared.
    pub(crate) fn open(&mut self) -> &mut TagTable {
        Arc::make_mut(self.inner.get_or_insert_default())
    }
}

/// Iterator over the tags of a [`Metadata`] as `(key, value)`, in the order of the keys.
#[derive(Clone)]
pub struct Iter<'a> {
    inner: Option<&'a TagTable>,
    next: usize,
}

impl<'a> Iter<'a> {
    /// The key of the next tag.
    pub(crate) fn peek_key(&self) -> Option<&'a str> {
        let inner = self.inner?;
        inner.tags.get(self.next).map(|span| inner.key(*span))
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
        let inner = self.inner?;
        let span = *inner.tags.get(self.next)?;
        self.next += 1;
        Some(inner.tag(span))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.inner.map_or(0, |inner| inner.tags.len() - self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> Extend<(K, V)> for Metadata {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, tags: T) {
        for (key, value) in tags {
            self.insert(key, value);
        }
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Metadata {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(tags: T) -> Self {
        let mut metadata = Self::new();
        metadata.extend(tags);
        metadata
    }
}

impl<K: AsRef<str>, V: AsRef<str>, const N: usize> From<[(K, V); N]> for Metadata {
    fn from(tags: [(K, V); N]) -> Self {
        tags.into_iter().collect()
    }
}

impl Index<&str> for Metadata {
    type Output = str;

    /// The value of `key`.
    ///
    /// # Panics
    /// When there is no such key; the message lists the keys there are. [`Metadata::get`] does not panic.
    #[allow(clippy::panic, reason = "indexing panics by contract, as for std's maps; `get` does not")]
    fn index(&self, key: &str) -> &str {
        self.get(key).unwrap_or_else(|| {
            let keys: Vec<_> = self.iter().map(|(key, _)| key).collect();
            panic!("no tag {key:?}; there are {keys:?}")
        })
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Metadata {}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetadataVisitor;

        impl<'de> Visitor<'de> for MetadataVisitor {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose values are strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut metadata = Metadata::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    metadata.insert(key, value);
                }
                Ok(metadata)
            }
        }

        deserializer.deserialize_map(MetadataVisitor)
    }
}

/// A [`Metadata`] literal.
///
/// ```
/// use tower_tagging::tags;
///
/// let team = String::from("growth");
/// let tags = tags! { "team" => team, "feature" => "search" };
/// assert_eq!(tags.len(), 2);
/// assert!(tags! {}.is_empty());
/// ```
#[macro_export]
macro_rules! tags {
    {} => { $crate::Metadata::new() };
    { $($key:expr => $value:expr),+ $(,)? } => {{
        let mut metadata = $crate::Metadata::new();
        $( metadata.insert($key, $value); )+
        metadata
    }};
}
