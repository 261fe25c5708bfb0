use std::{borrow::Cow, time::SystemTime};

use tracing_core::field::Value as FieldValue;

use crate::{
    event::Event,
    row::{EventRow, SCHEMA, Value},
    usage::Money,
};

/// The fields of a [`TracingSink`](super::TracingSink)'s events: a message, and the columns of [`SCHEMA`].
pub(super) const FIELDS: [&str; SCHEMA.len() + 1] = {
    let mut fields = ["message"; SCHEMA.len() + 1];
    let (mut rest, mut columns) = (fields.as_mut_slice(), SCHEMA);
    while let (Some((field, next)), Some((column, others))) = (rest.split_last_mut(), columns.split_last()) {
        *field = column.name;
        (rest, columns) = (next, others);
    }
    fields
};

/// The values of [`FIELDS`], in their order. `None` is an unknown value.
pub(super) type Values<'a> = [Option<&'a dyn FieldValue>; FIELDS.len()];

/// Calls a function with the values of an event's fields.
pub(super) fn with_values(event: &Event, record: impl FnOnce(Values<'_>)) {
    let row = EventRow::from(event);
    let dollars = |nanos: Option<u64>| nanos.map(|nanos| Money::from_nano_usd(nanos).usd());
    let dollars = [row.total_cost_nanos, row.input_cost_nanos, row.output_cost_nanos].map(dollars);
    let values = row.values().map(Field::new);
    let (method, path, outcome) = (event.method(), event.path(), event.outcome());
    let message = format!("{method} {path} {outcome}");
    let mut fields: Values<'_> = [None; FIELDS.len()];
    let stored = values.iter().map(Field::value);
    let generated = dollars.iter().map(|amount| amount.as_ref().map(|amount| amount as &dyn FieldValue));
    let all = std::iter::once(Some(&message as &dyn FieldValue)).chain(stored).chain(generated);
    for (field, value) in fields.iter_mut().zip(all) {
        *field = value;
    }
    record(fields);
}

/// The value of a column as `tracing` records it. Texts are borrowed from the row.
enum Field<'a> {
    Unknown,
    Boolean(bool),
    Number(i64),
    Text(Cow<'a, str>),
}

impl<'a> Field<'a> {
    fn new(value: Value<'a>) -> Self {
        match value {
            Value::Null => Self::Unknown,
            Value::Uuid(id) => Self::Text(id.to_string().into()),
            Value::Time(time) => Self::Text(rfc3339(time).into()),
            Value::Boolean(value) => Self::Boolean(value),
            Value::Integer(number) => Self::Number(number.into()),
            Value::BigInt(number) => Self::Number(number),
            Value::Json(text) if ["{}", "[]"].contains(&&*text) => Self::Unknown,
            Value::Text(text) | Value::Json(text) => Self::Text(text),
        }
    }

    fn value(&self) -> Option<&dyn FieldValue> {
        match self {
            Self::Unknown => None,
            Self::Boolean(value) => Some(value),
            Self::Number(number) => Some(number),
            Self::Text(Cow::Borrowed(text)) => Some(text),
            Self::Text(Cow::Owned(text)) => Some(text),
        }
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}
