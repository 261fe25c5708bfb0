use std::io::Write;

use serde::Serializer;

use crate::{analytics::QueryError, row::EventRow};

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
            let names = self.layout.columns.iter().map(|column| column.name);
            let members = names.zip(self.layout.values(row));
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
