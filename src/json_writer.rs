//! Writes JSON as `serde_json` does, byte for byte, in less time for what events are made of: many names, and short texts
//! without escapes. Everything else is left to it. It does not know the types that `serde_json` serialises in ways of its own,
//! such as `RawValue`; no event has one.

use std::fmt::{Display, Write};

use serde::{
    Serialize, Serializer,
    ser::{
        Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

/// Appends the value.
///
/// # Errors
/// What `serde_json` would say; part of the value may be written then.
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(JsonWriter { out })
}

struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl JsonWriter<'_> {
    fn text(self, text: &str) -> serde_json::Result<()> {
        if is_plain(text.as_bytes()) {
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
            return Ok(());
        }
        self.other(text)
    }

    fn other<T: Serialize + ?Sized>(self, value: &T) -> serde_json::Result<()> {
        serde_json::to_writer(self.out, value)
    }
}

/// Whether nothing in the text is escaped: by RFC 8259 quotation marks, backslashes and control characters below U+0020.
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                let [first, last] = [first, last].map(|half| u64::from(u32::from_ne_bytes(*half)));
                !has_escaped(first << 32 | last)
            }
            _ => !text.iter().any(|byte| matches!(byte, b'"' | b'\\' | ..0x20)),
        };
    };
    let mut rest = text;
    while let Some((word, behind)) = rest.split_first_chunk() {
        if has_escaped(u64::from_ne_bytes(*word)) {
            return false;
        }
        rest = behind;
    }
    // Some of them again, as above, rather than those left over one by one.
    !has_escaped(u64::from_ne_bytes(*last))
}

/// Whether one of eight bytes is escaped, all looked at together: a byte less than another borrows into its highest bit.
fn has_escaped(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & (ONES << 7) != 0
}

macro_rules! others {
    ($($method:ident: $type:ty),+) => {
        $(fn $method(self, value: $type) -> serde_json::Result<()> {
            self.other(&value)
        })+
    };
}

impl<'a> Serializer for JsonWriter<'a> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Members<'a>;
    type SerializeTuple = Members<'a>;
    type SerializeTupleStruct = Members<'a>;
    type SerializeTupleVariant = Members<'a>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Members<'a>;

    others! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64, serialize_char: char
    }

    fn serialize_bool(self, value: bool) -> serde_json::Result<()> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_str(self, text: &str) -> serde_json::Result<()> {
        self.text(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> serde_json::Result<()> {
        self.collect_seq(bytes)
    }

    fn serialize_none(self) -> serde_json::Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> serde_json::Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> serde_json::Result<()> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> serde_json::Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> serde_json::Result<()> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> serde_json::Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> serde_json::Result<()> {
        let mut object = Members::open(self.out, b'{', b"}");
        object.field(variant, value)?;
        object.close()
    }

    fn serialize_seq(self, _len: Option<usize>) -> serde_json::Result<Members<'a>> {
        Ok(Members::open(self.out, b'[', b"]"))
    }

    fn serialize_tuple(self, _len: usize) -> serde_json::Result<Members<'a>> {
        Ok(Members::open(self.out, b'[', b"]"))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> serde_json::Result<Members<'a>> {
        Ok(Members::open(self.out, b'[', b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> serde_json::Result<Members<'a>> {
        Ok(Members::of_variant(self.out, variant, b'[', b"]}"))
    }

    fn serialize_map(self, _len: Option<usize>) -> serde_json::Result<Members<'a>> {
        Ok(Members::open(self.out, b'{', b"}"))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> serde_json::Result<Members<'a>> {
        Ok(Members::open(self.out, b'{', b"}"))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> serde_json::Result<Members<'a>> {
        Ok(Members::of_variant(self.out, variant, b'{', b"}}"))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> serde_json::Result<()> {
        let start = self.out.len();
        self.out.push(b'"');
        let mut text = Text { out: self.out, is_plain: true };
        write!(text, "{value}").map_err(|_| Error::custom("a value could not be displayed"))?;
        if text.is_plain {
            self.out.push(b'"');
            return Ok(());
        }
        self.out.truncate(start);
        self.other(&value.to_string())
    }
}

/// Takes in text for as long as nothing in it is escaped.
struct Text<'a> {
    out: &'a mut Vec<u8>,
    is_plain: bool,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.is_plain &= is_plain(text.as_bytes());
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// An array or object that is being written.
struct Members<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
    end: &'static [u8],
}

impl<'a> Members<'a> {
    fn open(out: &'a mut Vec<u8>, start: u8, end: &'static [u8]) -> Self {
        out.push(start);
        Self { out, is_first: true, end }
    }

    /// The array or object that a variant holds, within the object that names the variant.
    fn of_variant(out: &'a mut Vec<u8>, variant: &'static str, start: u8, end: &'static [u8]) -> Self {
        let mut object = Self::open(out, b'{', b"}");
        object.name(variant);
        Self::open(object.out, start, end)
    }

    fn comma(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> serde_json::Result<()> {
        value.serialize(JsonWriter { out: self.out })
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> serde_json::Result<()> {
        self.comma();
        self.value(value)
    }

    /// Writes the name of a field or variant, which is an identifier, or is renamed to what needs no escapes either.
    fn name(&mut self, name: &'static str) {
        debug_assert!(is_plain(name.as_bytes()), "{name}");
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> serde_json::Result<()> {
        self.name(name);
        self.value(value)
    }

    #[allow(clippy::unnecessary_wraps, reason = "as serde's traits want it")]
    fn close(self) -> serde_json::Result<()> {
        self.out.extend_from_slice(self.end);
        Ok(())
    }
}

macro_rules! arrays {
    ($($trait:ident: $method:ident),+) => {
        $(impl $trait for Members<'_> {
            type Ok = ();
            type Error = serde_json::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> serde_json::Result<()> {
                self.element(value)
            }

            fn end(self) -> serde_json::Result<()> {
                self.close()
            }
        })+
    };
}

arrays!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

macro_rules! objects {
    ($($trait:ident),+) => {
        $(impl $trait for Members<'_> {
            type Ok = ();
            type Error = serde_json::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> serde_json::Result<()> {
                self.field(key, value)
            }

            fn end(self) -> serde_json::Result<()> {
                self.close()
            }
        })+
    };
}

objects!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> serde_json::Result<()> {
        self.comma();
        let start = self.out.len();
        self.value(key)?;
        // Numbers and booleans are keys too, as texts.
        match self.out.get(start) {
            Some(b'"') => {}
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.out.insert(start, b'"');
                self.out.push(b'"');
            }
            _ => return Err(Error::custom("key must be a string")),
        }
        self.out.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> serde_json::Result<()> {
        self.value(value)
    }

    fn end(self) -> serde_json::Result<()> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Serialize;
    use serde_json::{Value, json};

    fn written(value: &impl Serialize) -> String {
        let mut out = b"before ".to_vec();
        super::write(&mut out, value).unwrap();
        String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

    #[derive(Serialize)]
    enum Shape {
        Unit,
        One(i8),
        Two(f32, char),
        Named { text: &'static str, none: Option<u8> },
    }

    #[derive(Serialize)]
    struct Pair(bool, ());

    #[test]
    fn every_kind_of_value_is_as_serde_json_has_it() {
        let shapes = [Shape::Unit, Shape::One(-1), Shape::Two(0.1, '"'), Shape::Named { text: "a\n", none: None }];
        assert_eq!(written(&shapes), serde_json::to_string(&shapes).unwrap());
        let numbers = (u128::MAX, i128::MIN, f64::NAN, 1e300, (1u16, i64::MIN), Pair(true, ()));
        assert_eq!(written(&numbers), serde_json::to_string(&numbers).unwrap());
        let keys = (BTreeMap::from([(-1, "x")]), BTreeMap::from([(true, "x")]), BTreeMap::from([("\"", "x")]));
        assert_eq!(written(&keys), serde_json::to_string(&keys).unwrap());
        assert!(super::write(&mut Vec::new(), &BTreeMap::from([((1, 2), 3)])).is_err());
        struct Shown(&'static str);
        impl Serialize for Shown {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("<{}>", self.0))
            }
        }
        let shown = [Shown("plain"), Shown("quo\"ted"), Shown("")];
        assert_eq!(written(&shown), serde_json::to_string(&shown).unwrap());
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), "[ -~\u{0}-\u{20}]{0,12}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

        #[test]
        fn any_value_is_as_serde_json_has_it(value in values()) {
            prop_assert_eq!(written(&value), serde_json::to_string(&value).unwrap());
        }
    }
}
