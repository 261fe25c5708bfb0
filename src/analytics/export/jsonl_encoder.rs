use std::io::Write;

use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

use crate::{
    analytics::QueryError,
    row::{EventRow, Value},
    usage::SignedMoney,
};

use super::{
    layout::Layout,
    output::{Output, failed},
    row_encoder::RowEncoder,
};

/// Writes each row as a JSON object on its own line.
pub(super) struct JsonlEncoder {
    layout: Layout,
    text: Vec<u8>,
}

impl JsonlEncoder {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout, text: Vec::new() }
    }
}

impl RowEncoder for JsonlEncoder {
    fn begin(&mut self, _: bool, _: &mut Output) -> Result<(), QueryError> {
        Ok(())
    }

    fn write(&mut self, rows: &[EventRow], output: &mut Output) -> Result<(), QueryError> {
        for row in rows {
            self.text.clear();
            let columns = self.layout.columns.iter();
            let members = columns.zip(self.layout.values(row)).map(|(column, value)| match value {
                Value::BigInt(nanos) if column.is_dollars => (column.name, Member::Dollars(nanos)),
                value => (column.name, Member::Stored(value)),
            });
            serde_json::Serializer::new(&mut self.text).collect_map(members).map_err(failed)?;
            self.text.push(b'\n');
            output.write_all(&self.text).map_err(failed)?;
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Output) -> Result<(), QueryError> {
        Ok(())
    }
}

/// The value of a member.
enum Member<'a> {
    Stored(Value<'a>),
    /// Nano-dollars, which are written as US dollars.
    Dollars(i64),
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Stored(value) => value.serialize(serializer),
            Self::Dollars(nanos) => RawValue::from_string(format!("{:.9}", SignedMoney::from_nano_usd(*nanos)))
                .map_err(S::Error::custom)?
                .serialize(serializer),
        }
    }
}
