use super::{field::Field, tool_counts::ToolCounts};

/// Maximum number of values per document.
const MAX_VALUES: usize = 64;
/// Maximum number of model names per document.
const MAX_MODELS: usize = 8;
/// Bytes that are kept for the values of the next document.
const MAX_KEPT_TEXT: usize = 4096;

/// The values found so far in the document being read.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The text of all values.
    text: Vec<u8>,
    /// The fields and the lengths of their values. `None` stands for a value that was too long.
    values: Vec<(Field, Option<usize>)>,
    pub(super) has_mark: bool,
    /// The answer is not finished yet, so its end will be reported.
    pub(super) announces_end: bool,
    pub(super) tools: ToolCounts,
}

impl Document {
    /// Keeps a value as it is written.
    pub(super) fn keep(&mut self, field: Field, value: Option<&[u8]>) {
        if self.values.is_empty() {
            // Enough for most documents.
            self.values.reserve(16);
            self.text.reserve(256);
        }
        let is_placeholder = field.is_stated_once() && value == Some(b"null");
        self.has_mark |= field.is_mark() && !is_placeholder;
        self.announces_end |= field == Field::FinishReason && is_placeholder;
        let count = || self.values.iter().filter(|(other, _)| *other == field).count();
        let is_repeated = is_placeholder || (field.is_stated_once() && count() > 0);
        let is_one_of_many = matches!(field, Field::Model) && count() >= MAX_MODELS;
        if self.values.len() < MAX_VALUES && !is_repeated && !is_one_of_many {
            self.values.push((field, value.map(<[u8]>::len)));
            self.text.extend_from_slice(value.unwrap_or_default());
        }
    }

    /// Returns the values in the order in which they were found.
    pub(super) fn values(&self) -> impl Iterator<Item = (Field, Option<&[u8]>)> {
        let mut start = 0;
        self.values.iter().map(move |(field, len)| {
            let value = len.and_then(|len| self.text.get(start..start + len));
            start += len.unwrap_or(0);
            (*field, value)
        })
    }

    /// Removes all values and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(MAX_KEPT_TEXT);
        self.values.clear();
        self.has_mark = false;
        self.announces_end = false;
        self.tools = ToolCounts::default();
    }
}
