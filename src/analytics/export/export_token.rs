use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{analytics::QueryError, row::EventRow, time::micros_since_1970};

/// The place in an export after which another one continues.
///
/// It is the time and the id of a request. Its text is `TIME/ID` or `TIME/ID/LAYOUT`. If a download was cut off, write
/// the first form from `requested_at` and `id` of the last complete row. The layout identifies the format and the
/// columns, so that a continuation with other columns is rejected.
///
/// ```
/// use tower_tagging::analytics::ExportToken;
///
/// let token: ExportToken = "2026-06-01T12:00:00.000250Z/01979b3c-0000-7000-8000-000000000001".parse()?;
/// assert_eq!(token.to_string(), "2026-06-01T12:00:00.000250Z/01979b3c-0000-7000-8000-000000000001");
/// # Ok::<(), tower_tagging::analytics::QueryError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExportToken {
    time: Timestamp,
    id: Uuid,
    layout: Option<String>,
}

impl ExportToken {
    /// Returns the token of the place after a request.
    pub fn after(row: &EventRow) -> Self {
        // Stored times lie between the years 1970 and 9999.
        let micros = i64::try_from(micros_since_1970(row.requested_at)).unwrap_or(i64::MAX);
        Self { time: Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX), id: row.id, layout: None }
    }

    /// Returns the time of the last request before this place.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Returns the id of the last request before this place.
    pub fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn layout(&self) -> Option<&str> {
        self.layout.as_deref()
    }

    pub(super) fn with_layout(mut self, layout: &str) -> Self {
        self.layout = Some(layout.to_owned());
        self
    }

    /// Returns `true` if a request is after this place.
    pub(super) fn is_before(&self, row: &EventRow) -> bool {
        let other = Self::after(row);
        (self.time, self.id) < (other.time, other.id)
    }
}

impl fmt::Display for ExportToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}/{}", self.time, self.id)?;
        match &self.layout {
            Some(layout) => write!(f, "/{layout}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ExportToken {
    type Err = QueryError;

    /// # Errors
    /// Returns [`QueryError::Invalid`] if the text is not a token.
    fn from_str(text: &str) -> Result<Self, QueryError> {
        let invalid = || {
            QueryError::invalid(format!(
                "invalid export token {text:?}: expected the time and the id of the last row, such as \
                 2026-06-01T12:00:00.000250Z/01979b3c-0000-7000-8000-000000000001"
            ))
        };
        let mut parts = text.splitn(3, '/');
        let mut next = || parts.next().ok_or_else(invalid);
        let time = next()?.parse().map_err(|_| invalid())?;
        let id = next()?.parse().map_err(|_| invalid())?;
        Ok(Self { time, id, layout: parts.next().map(ToOwned::to_owned) })
    }
}

impl Serialize for ExportToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
