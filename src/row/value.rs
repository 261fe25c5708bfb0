use std::{borrow::Cow, error, fmt, time::SystemTime};

use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;
use uuid::Uuid;

/// The value of one column, as databases take and return it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Uuid(Uuid),
    Time(SystemTime),
    Boolean(bool),
    Integer(i32),
    BigInt(i64),
    Text(Cow<'a, str>),
    /// The text of a JSON value.
    Json(Cow<'a, str>),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Uuid(id) => serializer.collect_str(id),
            Self::Time(time) => serializer.collect_str(&humantime::format_rfc3339_micros(*time)),
            Self::Boolean(is_set) => serializer.serialize_bool(*is_set),
            Self::Integer(number) => serializer.serialize_i32(*number),
            Self::BigInt(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Json(text) => serde_json::from_str::<&RawValue>(text).map_err(Error::custom)?.serialize(serializer),
        }
    }
}

/// A stored value that does not fit its column, for instance because other code wrote it.
#[derive(Debug)]
pub(crate) struct DecodeError {
    pub(super) column: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} holds a value that tower-tagging did not write", self.column)
    }
}

impl error::Error for DecodeError {}
