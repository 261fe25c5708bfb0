//! Work on a session, whichever database it is of.

#![cfg(any(feature = "postgres", feature = "sqlite"))]

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::{
    row::{Dimension, EventRow, Filter},
    store::{
        records::RecordSession,
        rollup::{self, KeptFrom, RollupSession, RowRead, Transaction},
    },
};

use super::{
    Answer, Explanation, Grant, Query, QueryError,
    execute::{Assembly, FeedbackMap, RowLimits, explain, read_feedback, run, run_rows, summed},
};

pub(super) trait Job: Send + 'static {
    type Output: Send + 'static;

    /// `true` if the work may take minutes.
    const IS_MAINTENANCE: bool = false;

    fn run(
        self,
        session: &mut (impl RollupSession + RecordSession),
    ) -> impl Future<Output = Result<Self::Output, QueryError>> + Send;
}

pub(super) struct Run(pub(super) Query, pub(super) Grant, pub(super) RowLimits);

impl Job for Run {
    type Output = Answer;

    async fn run(self, session: &mut impl RollupSession) -> Result<Answer, QueryError> {
        run(session, &Assembly::new(&self.0, &self.1)?, self.2).await
    }
}

pub(super) struct Explain(pub(super) Query, pub(super) Grant, pub(super) RowLimits);

impl Job for Explain {
    type Output = Explanation;

    async fn run(self, session: &mut impl RollupSession) -> Result<Explanation, QueryError> {
        explain(session, &Assembly::new(&self.0, &self.1)?, self.2).await
    }
}

pub(super) struct Rows {
    pub(super) read: RowRead,
    pub(super) filters: Vec<Filter>,
    pub(super) limit: usize,
    pub(super) limits: RowLimits,
}

impl Job for Rows {
    type Output = (Vec<EventRow>, Option<(u64, Uuid)>);

    async fn run(self, session: &mut impl RollupSession) -> Result<Self::Output, QueryError> {
        run_rows(session, &self.read, &self.filters, self.limit, self.limits).await
    }
}

pub(super) struct Activate(pub(super) Vec<Dimension>, pub(super) bool);

impl Job for Activate {
    /// `true` if something was changed.
    type Output = bool;
    const IS_MAINTENANCE: bool = true;

    async fn run(self, session: &mut impl RollupSession) -> Result<bool, QueryError> {
        let Self(dimensions, is_active) = self;
        let dimensions = summed(dimensions.iter());
        session.begin(Transaction::Snapshot).await?;
        let state = session.state().await?;
        session.commit().await?;
        let was_active = state.find(&dimensions).is_some_and(|subject| subject.live.is_some());
        // A single dimension needs no pair. Its own sums are not those of a pair, so they are never deleted here.
        Ok(match (is_active, dimensions.len()) {
            (true, 1..) => rollup::activate(session, &dimensions).await? && !was_active,
            (false, 2..) => {
                rollup::deactivate(session, &dimensions).await?;
                was_active
            }
            _ => false,
        })
    }
}

/// Starts to keep sums of each of these dimensions, unless that was done before.
pub(super) struct Ensure(pub(super) Vec<Vec<Dimension>>);

impl Job for Ensure {
    /// The dimensions whose sums were not kept before.
    type Output = Vec<Vec<Dimension>>;
    const IS_MAINTENANCE: bool = true;

    async fn run(self, session: &mut impl RollupSession) -> Result<Self::Output, QueryError> {
        let mut added = Vec::new();
        for dimensions in self.0 {
            let sums = summed(dimensions.iter());
            if !sums.is_empty() && rollup::ensure(session, &sums).await? {
                added.push(dimensions);
            }
        }
        rollup::build_rest(session).await?;
        Ok(added)
    }
}

pub(super) struct Maintain(pub(super) u64, pub(super) KeptFrom);

impl Job for Maintain {
    type Output = ();
    const IS_MAINTENANCE: bool = true;

    async fn run(self, session: &mut impl RollupSession) -> Result<(), QueryError> {
        rollup::build_rest(session).await?;
        Ok(rollup::maintain(session, self.0, self.1).await?)
    }
}

pub(super) struct Verify(pub(super) u64, pub(super) u64);

impl Job for Verify {
    type Output = Vec<String>;
    const IS_MAINTENANCE: bool = true;

    async fn run(self, session: &mut impl RollupSession) -> Result<Vec<String>, QueryError> {
        Ok(rollup::verify(session, self.0, self.1).await?)
    }
}

pub(super) struct Rebuild(pub(super) u64, pub(super) u64);

impl Job for Rebuild {
    type Output = ();
    const IS_MAINTENANCE: bool = true;

    async fn run(self, session: &mut impl RollupSession) -> Result<(), QueryError> {
        Ok(rollup::rebuild(session, self.0, self.1).await?)
    }
}

/// Reads the feedback that can meet some conditions, the requests that it counts for, and the time of the latest request.
pub(super) struct FeedbackOfRows(pub(super) Vec<Filter>, pub(super) RowLimits);

impl Job for FeedbackOfRows {
    type Output = (FeedbackMap, Option<SystemTime>);

    async fn run(self, session: &mut impl RollupSession) -> Result<Self::Output, QueryError> {
        session.begin(Transaction::Snapshot).await?;
        let map = read_feedback(session, &self.0, &[], self.1).await?;
        let latest = session.last_row().await?;
        session.commit().await?;
        Ok((map, latest.map(|micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros))))
    }
}

/// Reads the time from which no rows were deleted, in microseconds since 1970.
#[cfg(feature = "limit")]
pub(super) struct RowsFrom;

#[cfg(feature = "limit")]
impl Job for RowsFrom {
    type Output = u64;

    async fn run(self, session: &mut impl RollupSession) -> Result<u64, QueryError> {
        session.begin(Transaction::Snapshot).await?;
        let state = session.state().await?;
        session.commit().await?;
        Ok(state.rows_from)
    }
}
