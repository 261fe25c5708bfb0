use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Reads a JSON object whose members have distinct names, at every level.
///
/// RFC 7519, section 4, lets a reader refuse duplicate names. Readers that accept them disagree on which one counts.
pub(super) fn json_object(json: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice::<DistinctNames>(json).ok()?;
    serde_json::from_slice(json).ok()
}

/// Any JSON value without duplicate names.
struct DistinctNames;

impl<'de> Deserialize<'de> for DistinctNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistinctNames)
    }
}

impl<'de> Visitor<'de> for DistinctNames {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("duplicate name"));
            }
            map.next_value::<DistinctNames>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<DistinctNames>()?.is_some() {}
        Ok(self)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::json_object;

    #[test]
    fn refuses_duplicate_names_at_every_level() {
        for json in [
            r"{}",
            r#"{"a": 1, "b": [1, -2, 3.5, null, true, "x", {"a": {}}], "c": {"a": 1}}"#,
            r#"{"a": {"x": 1}, "b": {"x": 1}}"#,
        ] {
            assert!(json_object(json.as_bytes()).is_some(), "{json}");
        }
        for json in [
            "",
            "[]",
            "1",
            r#"{"a": 1"#,
            r#"{"a": 1} x"#,
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"{"a": [{"b": 1, "b": 2}]}"#,
        ] {
            assert!(json_object(json.as_bytes()).is_none(), "{json}");
        }
        assert!(json_object(&[b'{', b'"', 0xFF, b'"', b':', b'1', b'}']).is_none());
        assert!(json_object("[".repeat(100_000).as_bytes()).is_none());
    }
}
