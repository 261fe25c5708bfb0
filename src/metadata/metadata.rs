use std::{fmt, ops::Index, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use super::{
    iter::Iter,
    tag_table::{TagTable, is_printable_tag},
};

/// The set of tags on one request: string keys with string values, sorted by key.
///
/// Cloning increments a reference count. The first write to a shared `Metadata` copies it. A `Metadata` serializes as a
/// JSON object:
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
    table: Option<Arc<TagTable>>,
}

impl Metadata {
    /// Creates an empty map without allocating.
    pub const fn new() -> Self {
        Self { table: None }
    }

    /// Returns the value of a tag.
    pub fn get(&self, key: &str) -> Option<&str> {
        let table = self.table()?;
        table.value_at(table.find(key).ok()?)
    }

    /// Returns `true` if the map has a tag with this key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.table().is_some_and(|table| table.find(key).is_ok())
    }

    /// Returns the number of tags.
    pub fn len(&self) -> usize {
        self.table().map_or(0, TagTable::len)
    }

    /// Returns `true` if the map has no tags.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the size of all keys and values in bytes.
    ///
    /// [`Limits::total_bytes`](super::Limits::total_bytes) limits this number.
    pub fn text_bytes(&self) -> usize {
        self.table().map_or(0, TagTable::text_bytes)
    }

    /// Returns an iterator over the tags, sorted by key.
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self.table())
    }

    /// Sets a tag, replacing its previous value.
    ///
    /// No [`Limits`](super::Limits) apply here. A layer checks the maps that it is built with.
    pub fn insert(&mut self, key: impl AsRef<str>, value: impl AsRef<str>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        let is_printable = is_printable_tag(key, value);
        let table = self.open();
        match table.find(key) {
            Ok(at) => table.replace_at(at, key, value, is_printable),
            Err(at) => table.insert_at(at, key, value, is_printable),
        }
    }

    /// Removes a tag and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        // Maps without the tag are not copied.
        if self.contains_key(key) { self.open().remove(key) } else { None }
    }

    /// Returns the approximate size in memory, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.table().map_or(0, TagTable::capacity_bytes)
    }

    /// Returns `true` if both maps refer to the same memory.
    #[cfg(test)]
    pub(super) fn shares_with(&self, other: &Self) -> bool {
        self.table.as_ref().zip(other.table.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// Returns `true` if every key and value is printable ASCII within these lengths in bytes, and no key is empty. May
    /// return `false` although that is the case.
    pub(super) fn is_printable_within(&self, key_bytes: usize, value_bytes: usize) -> bool {
        self.table().is_none_or(|table| table.is_printable_within(key_bytes, value_bytes))
    }

    pub(super) fn table(&self) -> Option<&TagTable> {
        self.table.as_deref()
    }

    /// Returns the table for several writes. Copies it first if it is shared.
    pub(super) fn open(&mut self) -> &mut TagTable {
        Arc::make_mut(self.table.get_or_insert_default())
    }
}

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

    /// Returns the value of a tag.
    ///
    /// # Panics
    ///
    /// Panics if there is no such tag. The message lists the existing keys. [`Metadata::get`] does not panic.
    #[allow(clippy::panic, reason = "indexing panics by contract, as in std's maps; `get` does not")]
    fn index(&self, key: &str) -> &str {
        self.get(key).unwrap_or_else(|| {
            let keys: Vec<_> = self.iter().map(|(key, _)| key).collect();
            panic!("no tag {key:?}; the existing keys are {keys:?}")
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

/// Creates a [`Metadata`] from a list of tags.
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

#[cfg(test)]
mod tests {
    #[test]
    fn copies_a_shared_map_on_the_first_write_only() {
        let original = tags! { "a" => "1" };
        let mut copy = original.clone();
        assert!(copy.shares_with(&original));
        assert_eq!(copy.remove("b"), None);
        assert!(copy.shares_with(&original), "nothing was written");
        copy.insert("b", "2");
        assert!(!copy.shares_with(&original));
        assert_eq!((original.len(), copy.len()), (1, 2));
    }
}
