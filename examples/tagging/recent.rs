use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use tower_tagging::{
    analytics::{
        Analytics, Filter, Grant, RowQuery, TimeRange,
        jiff::{self, SignedDuration, Timestamp},
    },
    store::EventRow,
};
use uuid::Uuid;

use crate::failure::Failure;

/// Requests are stored when they end, but their time is that of their start. So new ones are looked for among those that
/// began this long ago.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
/// The time by which clocks may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// The largest number of requests that a look at the store reads.
const MAX_ROWS: usize = 5_000;
const PAGE_ROWS: u32 = 500;

/// The requests that began recently, to find those that were stored since the last look at the store.
///
/// A look reads the newest requests of the last 15 minutes. If there are too many, older ones are not looked at again.
pub(crate) struct Recent {
    filters: Vec<Filter>,
    /// The ids of the requests that were found last.
    known: HashSet<Uuid>,
    /// The time of the oldest requests that are looked at.
    start: Option<Timestamp>,
}

impl Recent {
    pub(crate) fn new(filters: Vec<Filter>) -> Self {
        Self { filters, known: HashSet::new(), start: None }
    }

    /// Excludes requests from what is new.
    pub(crate) fn exclude(&mut self, rows: &[EventRow]) {
        self.known.extend(rows.iter().map(|row| row.id));
    }

    /// Returns the requests that were stored since the last call, the oldest first, and `true` if some may be missing.
    pub(crate) async fn new_rows(
        &mut self,
        analytics: &Analytics,
        now: Timestamp,
    ) -> Result<(Vec<EventRow>, bool), Failure> {
        let failed = |error: jiff::Error| Failure::Failed(error.to_string());
        let from = now.checked_sub(LONGEST).map_err(failed)?;
        let to = now.checked_add(AHEAD).map_err(failed)?;
        let from = self.start.map_or(from, |start| start.max(from));
        if from >= to {
            return Ok((Vec::new(), false));
        }
        let query = self.filters.iter().cloned().fold(RowQuery::new(TimeRange::new(from, to)?), RowQuery::filter);
        let mut query = query.limit(PAGE_ROWS);
        let (mut new, mut found) = (Vec::new(), HashSet::new());
        let is_cut = loop {
            let page = analytics.rows(&query, &Grant::everything()).await?;
            let oldest = page.rows.last().map(|row| row.requested_at);
            new.extend(page.rows.into_iter().filter(|row| found.insert(row.id) && !self.known.contains(&row.id)));
            let Some(next) = page.next else { break false };
            if found.len() >= MAX_ROWS {
                self.start = oldest.and_then(after);
                break true;
            }
            query = query.cursor(next);
        };
        self.known = found;
        new.reverse();
        Ok((new, is_cut))
    }
}

/// Returns the first time after that of a request. Stores keep microseconds.
fn after(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time + Duration::from_micros(1)).ok()
}
