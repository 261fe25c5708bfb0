use std::borrow::Cow;

use jsonschema::{
    json::{Array, Json, JsonNumber, Node, NodeIdentity, Object},
    types::JsonType,
};
use serde_json::{Number, Value};

/// A representation of JSON whose only values are strings.
///
/// The validator reads the value of a tag through it, so that the value is not copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextJson;

/// The value of a tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a>(pub(super) &'a str);

/// A value that does not exist: no tag is an object, an array, or a number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Never {}

impl Json for TextJson {
    type Node<'a> = Text<'a>;
    type PreparedKey = ();
    type StringBuffer = ();
    const ACYCLIC: bool = true;

    fn prepare_key(_: &str) {}

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Text<'_>) -> T) -> T {
        f(Text(string))
    }
}

impl<'a> Node<'a, TextJson> for Text<'a> {
    type Object = Never;
    type Array = Never;
    type Number = Never;

    fn as_object(&self) -> Option<Never> {
        None
    }

    fn as_array(&self) -> Option<Never> {
        None
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(self.0))
    }

    fn as_number(&self) -> Option<Never> {
        None
    }

    fn as_boolean(&self) -> Option<bool> {
        None
    }

    fn is_null(&self) -> bool {
        false
    }

    fn json_type(&self) -> JsonType {
        JsonType::String
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Value::from(self.0))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        None
    }
}

impl<'a> Object<'a, TextJson> for Never {
    type Node = Text<'a>;
    type MemberName = &'a str;
    type MembersIter = std::iter::Empty<(&'a str, Text<'a>)>;

    fn len(&self) -> usize {
        match *self {}
    }

    fn get(&self, (): &()) -> Option<Text<'a>> {
        match *self {}
    }

    fn members(&self) -> Self::MembersIter {
        match *self {}
    }
}

impl<'a> Array<'a, TextJson> for Never {
    type Node = Text<'a>;
    type ElementsIter = std::iter::Empty<Text<'a>>;

    fn len(&self) -> usize {
        match *self {}
    }

    fn elements(&self) -> Self::ElementsIter {
        match *self {}
    }
}

impl JsonNumber for Never {
    fn as_u64(&self) -> Option<u64> {
        match *self {}
    }

    fn as_i64(&self) -> Option<i64> {
        match *self {}
    }

    fn as_f64(&self) -> Option<f64> {
        match *self {}
    }

    fn as_str(&self) -> Cow<'_, str> {
        match *self {}
    }

    fn to_number(&self) -> Cow<'_, Number> {
        match *self {}
    }
}
