use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    event::Event,
    row::EventRow,
    sink::BatchWriter,
    store::{Feedback, KeyInfo, MemoryStore, StoreError},
};

use super::{
    Answer, Grant, Page, Query, QueryError, RowQuery,
    assemble::Assembly,
    collect::{Collect, Collected},
};

/// Answers queries about the requests in a store.
///
/// Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Analytics {
    pub(super) store: MemoryStore,
}

impl Analytics {
    /// Creates analytics over a store.
    pub fn new(store: impl Into<MemoryStore>) -> Self {
        Self { store: store.into() }
    }

    /// Answers a query about the rows that the grant covers.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if the query is invalid, [`QueryError::TooLarge`] or [`QueryError::TimedOut`] if it
    /// exceeds a limit, and [`QueryError::Store`] if the store fails.
    pub async fn run(&self, query: &Query, grant: &Grant) -> Result<Answer, QueryError> {
        let assembly = Assembly::new(query, grant)?;
        let mut collected = Vec::new();
        for collect in assembly.collects() {
            collected.push(self.collect(&collect)?);
        }
        assembly.answer(collected, self.data_up_to())
    }

    fn collect(&self, collect: &Collect) -> Result<Collected, QueryError> {
        let mut collected = Collected::default();
        for row in self.store.latest(u32::MAX) {
            collect.add_row(&row, &mut collected)?;
        }
        Ok(collected)
    }

    fn data_up_to(&self) -> Option<Timestamp> {
        self.store.latest(1).first().and_then(|row| Timestamp::try_from(row.requested_at).ok())
    }

    /// Returns a page of the requests that the grant covers.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn rows(&self, query: &RowQuery, grant: &Grant) -> Result<Page, QueryError> {
        let limit = usize::try_from(query.limit.clamp(1, RowQuery::MAX_LIMIT)).unwrap_or(usize::MAX);
        let after = query.cursor.as_deref().map(str::parse::<usize>).transpose();
        let skip = after.map_err(|_| QueryError::invalid("invalid cursor"))?.unwrap_or(0);
        let mut rows = self.store.latest(u32::MAX);
        if query.is_oldest_first {
            rows.reverse();
        }
        let range = query.range.from()..query.range.to();
        rows.retain(|row| {
            Timestamp::try_from(row.requested_at).is_ok_and(|time| range.contains(&time))
                && query.filters.iter().chain(grant.filters()).all(|filter| filter.matches(row))
        });
        let has_more = rows.len() > skip + limit;
        let rows = rows.into_iter().skip(skip).take(limit).collect();
        Ok(Page { rows, next: has_more.then(|| (skip + limit).to_string()) })
    }

    /// Returns a request by the id of its event. `None` if there is none that the grant covers.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn row(&self, id: Uuid, grant: &Grant) -> Result<Option<EventRow>, QueryError> {
        let row = self.store.event(id);
        Ok(row.filter(|row| grant.filters().iter().all(|filter| filter.matches(row))))
    }

    /// Writes events directly, such as those of other systems. Events that the store has are ignored.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn write(&self, events: Vec<Arc<Event>>) -> Result<(), QueryError> {
        let failed = |error| QueryError::Store(StoreError::database("write events to the store", error));
        self.store.writer().write(&events).map_err(failed)
    }

    /// Stores feedback. It replaces feedback with the same id.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn put_feedback(&self, feedback: Feedback) -> Result<(), QueryError> {
        self.store.put_feedback(feedback);
        Ok(())
    }

    /// Returns feedback by its id.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn feedback(&self, id: Uuid) -> Result<Option<Feedback>, QueryError> {
        Ok(self.store.feedback(id))
    }

    /// Returns the keys of tags that were seen or activated, with their statistics.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>, QueryError> {
        Ok(self.store.list_keys())
    }
}
