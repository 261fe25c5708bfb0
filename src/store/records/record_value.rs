use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::time::micros_since_1970;

/// A value of a column, or a parameter of a statement. No column is `NULL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecordValue {
    Text(String),
    Number(i64),
}

impl RecordValue {
    pub(super) fn text(text: &str) -> Self {
        // Postgres cannot store NUL.
        Self::Text(text.replace('\0', "\u{FFFD}"))
    }

    pub(super) fn optional(text: Option<&str>) -> Self {
        Self::text(text.unwrap_or_default())
    }

    pub(super) fn id(id: Uuid) -> Self {
        Self::Text(id.to_string())
    }

    pub(super) fn number(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }

    #[cfg(feature = "limit")]
    pub(super) fn signed(number: i64) -> Self {
        Self::Number(number)
    }

    pub(super) fn size(number: usize) -> Self {
        Self::number(number as u64)
    }

    pub(super) fn time(time: SystemTime) -> Self {
        Self::number(micros_since_1970(time))
    }
}

/// A row of the tables of records.
#[derive(Clone, Debug)]
pub(crate) struct RecordRow(pub(crate) Vec<RecordValue>);

impl RecordRow {
    pub(super) fn text(&self, at: usize) -> String {
        match self.0.get(at) {
            Some(RecordValue::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    /// Returns a text, or `None` if it is empty.
    pub(super) fn optional(&self, at: usize) -> Option<String> {
        Some(self.text(at)).filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, at: usize) -> u64 {
        match self.0.get(at) {
            Some(RecordValue::Number(number)) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    #[cfg(feature = "limit")]
    pub(super) fn signed(&self, at: usize) -> i64 {
        match self.0.get(at) {
            Some(RecordValue::Number(number)) => *number,
            _ => 0,
        }
    }

    pub(super) fn is_true(&self, at: usize) -> bool {
        self.number(at) == 1
    }

    pub(super) fn time(&self, at: usize) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.number(at))
    }

    pub(super) fn id(&self, at: usize) -> Uuid {
        self.text(at).parse().unwrap_or_default()
    }
}
