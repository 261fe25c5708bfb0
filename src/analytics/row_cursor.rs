use uuid::Uuid;

use crate::{
    row::EventRow,
    time::{LAST_MICRO, micros_since_1970},
};

use super::QueryError;

/// The place of a row in a list that is ordered by time and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowCursor {
    pub(super) micros: u64,
    pub(super) id: Uuid,
}

impl RowCursor {
    pub(super) fn of(row: &EventRow) -> Self {
        Self { micros: micros_since_1970(row.requested_at), id: row.id }
    }

    pub(super) fn text(self) -> String {
        format!("{}.{}", self.micros, self.id.simple())
    }

    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        let parts = text.split_once('.').and_then(|(micros, id)| {
            let micros = micros.parse().ok().filter(|micros| *micros <= LAST_MICRO)?;
            Some(Self { micros, id: Uuid::try_parse(id).ok()? })
        });
        parts.ok_or_else(|| QueryError::invalid("invalid cursor: expected the `next` of a page"))
    }
}
