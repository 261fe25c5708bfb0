//! Computes the sums of rows that were stored before their subject.

use std::collections::HashSet;

use crate::{row::Dimension, store::StoreError, time::micros_since_1970};

use super::{
    BUILT, Next, RollupBatch, RollupSession, RowRead, Subject, Tier, Transaction, quarter_of, quarter_start,
    remove::{has_unused, remove_unused},
};

/// The largest number of values per day for which sums are kept by hour.
pub(super) const MAX_HOURLY_VALUES: usize = 500;
/// The largest number of values per day for which sums are kept at all.
pub(super) const MAX_DAILY_VALUES: usize = 100_000;

/// The largest number of sums of a step that are held in memory. Beyond it, there are too many values.
const MAX_SUMS: usize = 1_000_000;

/// The number of rows after which a step ends, at the next quarter hour. Writers wait during a step.
const STEP_ROWS: usize = 5_000;

/// Starts keeping sums of one or two dimensions, and builds them from the stored rows, step by step.
///
/// Returns `false` if the dimensions have too many values. Does nothing if sums are kept already.
pub(crate) async fn activate(session: &mut impl RollupSession, dimensions: &[Dimension]) -> Result<bool, StoreError> {
    let id = loop {
        session.begin(Transaction::Exclusive).await?;
        let state = session.state().await?;
        if state.base().is_none() {
            session.commit().await?;
            return Ok(false);
        }
        let id = match state.find(dimensions) {
            Some(found) if found.live.is_some() => break found.id,
            Some(found) if has_unused(session, found.id).await? => {
                // What a deactivation has not deleted yet. It may have begun just before this transaction.
                let id = found.id;
                session.commit().await?;
                remove_unused(session, id).await?;
                continue;
            }
            Some(found) => found.id,
            None => state.subjects.iter().map(|subject| subject.id + 1).max().unwrap_or(1),
        };
        let mut dimensions = dimensions.iter().cloned();
        let mut subject = Subject::new(id, dimensions.next(), dimensions.next());
        subject.since = quarter_after(state.rows_from);
        session.save(&subject).await?;
        break id;
    };
    session.commit().await?;
    build(session, id).await?;
    session.begin(Transaction::Snapshot).await?;
    let state = session.state().await?;
    session.commit().await?;
    Ok(state.subjects.iter().any(|subject| subject.id == id && subject.is_ready()))
}

/// Starts keeping sums of dimensions, unless that was done before. Returns `true` if it was not.
pub(crate) async fn ensure(session: &mut impl RollupSession, dimensions: &[Dimension]) -> Result<bool, StoreError> {
    session.begin(Transaction::Snapshot).await?;
    let is_new = session.state().await?.find(dimensions).is_none();
    session.commit().await?;
    Ok(is_new && activate(session, dimensions).await?)
}

/// Stops keeping sums of dimensions, and deletes them.
pub(crate) async fn deactivate(session: &mut impl RollupSession, dimensions: &[Dimension]) -> Result<(), StoreError> {
    session.begin(Transaction::Exclusive).await?;
    let state = session.state().await?;
    let Some(mut subject) = state.find(dimensions).filter(|subject| subject.id != Subject::BASE).cloned() else {
        return session.commit().await;
    };
    // From here on, no writer adds to the sums, so that they can be deleted in steps.
    subject.live = None;
    session.save(&subject).await?;
    session.commit().await?;
    remove_unused(session, subject.id).await?;
    session.begin(Transaction::Exclusive).await?;
    // Meanwhile, another replica may have activated it again, or given its number to other dimensions.
    let state = session.state().await?;
    if let Some(unused) = state.find(dimensions).filter(|subject| subject.live.is_none()) {
        session.forget(unused.id).await?;
    }
    session.commit().await
}

/// Completes the sums that are not built yet, such as after a process was killed.
pub(crate) async fn build_rest(session: &mut impl RollupSession) -> Result<(), StoreError> {
    session.begin(Transaction::Snapshot).await?;
    let state = session.state().await?;
    session.commit().await?;
    for subject in state.subjects.iter().filter(|subject| subject.live.is_some() && !subject.is_ready()) {
        build(session, subject.id).await?;
    }
    Ok(())
}

/// Returns the first quarter hour that begins at or after a time.
pub(crate) fn quarter_after(micros: u64) -> i64 {
    let quarter = quarter_of(micros);
    if quarter_start(quarter) < micros { quarter + 1 } else { quarter }
}

async fn build(session: &mut impl RollupSession, id: i32) -> Result<(), StoreError> {
    let mut values = DayValues::default();
    while build_step(session, id, &mut values).await? {}
    remove_unused(session, id).await
}

/// Builds the next quarter hours with rows. Returns `false` if the subject is complete.
async fn build_step(session: &mut impl RollupSession, id: i32, values: &mut DayValues) -> Result<bool, StoreError> {
    session.begin(Transaction::Exclusive).await?;
    let state = session.state().await?;
    let subject = state.subjects.iter().find(|subject| subject.id == id).cloned();
    let Some(mut subject) = subject.filter(|subject| subject.live.is_some() && !subject.is_ready()) else {
        session.commit().await?;
        return Ok(false);
    };
    let from = subject.built_to.max(subject.since);
    if quarter_start(from) < state.rows_from {
        // Rows that were not included yet were deleted.
        subject.since = subject.since.max(quarter_after(state.rows_from));
    }
    let from = from.max(subject.since);
    let Some(next) = session.first_row(quarter_start(from)).await? else {
        subject.built_to = BUILT;
        session.save(&subject).await?;
        session.commit().await?;
        return Ok(false);
    };
    let day = Tier::Day.bucket(quarter_of(next));
    let batch = next_sums(session, &mut subject, quarter_of(next)).await?;
    let count = values.add(day, &batch);
    if count > MAX_DAILY_VALUES {
        subject.live = None;
    } else if count > MAX_HOURLY_VALUES && subject.live == Some(Tier::Hour) {
        // The sums by hour are removed in steps, so those by day are built from the rows.
        (subject.live, subject.built_to) = (Some(Tier::Day), 0);
    } else {
        session.add(&batch).await?;
    }
    session.save(&subject).await?;
    session.commit().await?;
    Ok(subject.live.is_some())
}

/// Computes sums from a quarter hour up to the end of the day, or until many rows were read, and moves `built_to` there.
async fn next_sums(
    session: &mut impl RollupSession,
    subject: &mut Subject,
    from: i64,
) -> Result<RollupBatch, StoreError> {
    let end = Tier::Day.start(Tier::Day.bucket(from) + 1);
    subject.built_to = end;
    let mut read = sums_read(std::slice::from_ref(subject), from, end);
    read.is_newest_first = false;
    let (mut batch, mut rows, mut quarter, mut built_to) = (RollupBatch::default(), 0, from, end);
    session
        .rows(&read, &mut |row| {
            let next = quarter_of(micros_since_1970(row.requested_at));
            if rows >= STEP_ROWS && next != quarter {
                built_to = next;
                return Next::Stop;
            }
            (rows, quarter) = (rows + 1, next);
            batch.add(std::slice::from_ref(subject), &row);
            if batch.len() > MAX_SUMS { Next::Stop } else { Next::Continue }
        })
        .await?;
    subject.built_to = built_to;
    Ok(batch)
}

/// Computes the sums of the days `from..to` from their rows.
pub(super) async fn sums_of_days(
    session: &mut impl RollupSession,
    subjects: &[Subject],
    from: i64,
    to: i64,
) -> Result<RollupBatch, StoreError> {
    let read = sums_read(subjects, Tier::Day.start(from), Tier::Day.start(to));
    let mut batch = RollupBatch::default();
    session
        .rows(&read, &mut |row| {
            batch.add(subjects, &row);
            Next::Continue
        })
        .await?;
    Ok(batch)
}

fn sums_read(subjects: &[Subject], from: i64, to: i64) -> RowRead {
    let dimensions = subjects.iter().flat_map(|subject| subject.first.iter().chain(&subject.second));
    RowRead::sums((quarter_start(from), quarter_start(to)), &[], dimensions)
}

/// The values of a day that is built in several steps.
#[derive(Debug, Default)]
struct DayValues {
    day: i64,
    values: HashSet<u64>,
}

impl DayValues {
    /// Adds values, and returns the number of different ones of the day.
    fn add(&mut self, day: i64, batch: &RollupBatch) -> usize {
        if self.day != day {
            self.day = day;
            self.values.clear();
        }
        self.values.extend(batch.value_hashes());
        if batch.len() > MAX_SUMS { usize::MAX } else { self.values.len() }
    }
}
