//! Computes the sums of rows that were stored before their subject.

use crate::{row::Dimension, store::StoreError};

use super::{BUILT, Next, RollupBatch, RollupSession, RowRead, Subject, Tier, Transaction, quarter_of, quarter_start};

/// The largest number of values per day for which sums are kept by hour.
const MAX_HOURLY_VALUES: usize = 500;
/// The largest number of values per day for which sums are kept at all.
const MAX_DAILY_VALUES: usize = 100_000;

/// The largest number of sums of one subject and day that are held in memory. Beyond it, there are too many values.
const MAX_SUMS: usize = 1_000_000;
/// The number of buckets that are deleted in one transaction.
const REMOVED_BUCKETS: i64 = 24;

/// Starts keeping sums of one or two dimensions, and builds them from the stored rows, a day in a transaction.
///
/// Returns `false` if the dimensions have too many values. Does nothing if sums are kept already.
pub(crate) async fn activate(session: &mut impl RollupSession, dimensions: &[Dimension]) -> Result<bool, StoreError> {
    session.begin(Transaction::Exclusive).await?;
    let state = session.state().await?;
    if state.base().is_none() {
        session.commit().await?;
        return Ok(false);
    }
    let id = match state.find(dimensions) {
        Some(found) if found.live.is_some() => found.id,
        found => {
            let next = state.subjects.iter().map(|subject| subject.id + 1).max().unwrap_or(1);
            let id = found.map_or(next, |found| found.id);
            if found.is_some() {
                // What a deactivation has not deleted yet.
                for tier in Tier::ALL {
                    session.remove(id, tier, i64::MIN, i64::MAX).await?;
                }
            }
            let mut dimensions = dimensions.iter().cloned();
            let mut subject = Subject::new(id, dimensions.next(), dimensions.next());
            subject.since = quarter_after(state.rows_from);
            session.save(&subject).await?;
            id
        }
    };
    session.commit().await?;
    while build_step(session, id).await? {}
    session.begin(Transaction::Snapshot).await?;
    let state = session.state().await?;
    session.commit().await?;
    Ok(state.subjects.iter().any(|subject| subject.id == id && subject.is_ready()))
}

/// Starts keeping sums of dimensions, unless that was done before.
pub(crate) async fn ensure(session: &mut impl RollupSession, dimensions: &[Dimension]) -> Result<(), StoreError> {
    session.begin(Transaction::Snapshot).await?;
    let is_known = session.state().await?.find(dimensions).is_some();
    session.commit().await?;
    if !is_known {
        activate(session, dimensions).await?;
    }
    Ok(())
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
    for tier in Tier::ALL {
        loop {
            session.begin(Transaction::Exclusive).await?;
            let is_active = session.state().await?.find(dimensions).is_some_and(|subject| subject.live.is_some());
            let first = session.first_bucket(subject.id, tier).await?.filter(|_| !is_active);
            if let Some(first) = first {
                session.remove(subject.id, tier, first, first.saturating_add(REMOVED_BUCKETS)).await?;
            }
            session.commit().await?;
            if first.is_none() {
                break;
            }
        }
    }
    session.begin(Transaction::Exclusive).await?;
    let is_active = session.state().await?.find(dimensions).is_some_and(|subject| subject.live.is_some());
    if !is_active {
        session.forget(subject.id).await?;
    }
    session.commit().await
}

/// Completes the sums that are not built yet, such as after a process was killed.
pub(crate) async fn build_rest(session: &mut impl RollupSession) -> Result<(), StoreError> {
    session.begin(Transaction::Snapshot).await?;
    let state = session.state().await?;
    session.commit().await?;
    for subject in state.subjects.iter().filter(|subject| subject.live.is_some() && !subject.is_ready()) {
        while build_step(session, subject.id).await? {}
    }
    Ok(())
}

/// Returns the first quarter hour that begins at or after a time.
pub(crate) fn quarter_after(micros: u64) -> i64 {
    let quarter = quarter_of(micros);
    if quarter_start(quarter) < micros { quarter + 1 } else { quarter }
}

/// Builds the next day with rows. Returns `false` if the subject is complete.
async fn build_step(session: &mut impl RollupSession, id: i32) -> Result<bool, StoreError> {
    session.begin(Transaction::Exclusive).await?;
    let state = session.state().await?;
    let subject = state.subjects.iter().find(|subject| subject.id == id).cloned();
    let Some(mut subject) = subject.filter(|subject| subject.live.is_some() && !subject.is_ready()) else {
        session.commit().await?;
        return Ok(false);
    };
    let from = Tier::Day.start(subject.built_to).max(subject.since);
    if quarter_start(from) < state.rows_from {
        // Rows that were not included yet were deleted.
        subject.since = subject.since.max(quarter_after(state.rows_from));
    }
    let from = from.max(subject.since);
    let next = session.first_row(quarter_start(from)).await?;
    let Some(next) = next else {
        subject.built_to = BUILT;
        session.save(&subject).await?;
        session.commit().await?;
        return Ok(false);
    };
    let day = Tier::Day.bucket(quarter_of(next));
    subject.built_to = day + 1;
    let batch = sums_of_days(session, std::slice::from_ref(&subject), day, day + 1).await?;
    let batch = if widen(session, &mut subject, values(&batch), day).await? && subject.live.is_some() {
        sums_of_days(session, std::slice::from_ref(&subject), day, day + 1).await?
    } else {
        batch
    };
    if subject.live.is_some() {
        session.add(&batch).await?;
    }
    session.save(&subject).await?;
    session.commit().await?;
    Ok(subject.live.is_some())
}

/// Returns the number of values in the sums of a day.
fn values(batch: &RollupBatch) -> usize {
    if batch.len() > MAX_SUMS { usize::MAX } else { batch.values() }
}

/// Computes the sums of the days `from..to` from their rows.
pub(super) async fn sums_of_days(
    session: &mut impl RollupSession,
    subjects: &[Subject],
    from: i64,
    to: i64,
) -> Result<RollupBatch, StoreError> {
    let range = (quarter_start(Tier::Day.start(from)), quarter_start(Tier::Day.start(to)));
    let dimensions = subjects.iter().flat_map(|subject| subject.first.iter().chain(&subject.second));
    let read = RowRead::sums(range, &[], dimensions);
    let mut batch = RollupBatch::default();
    session
        .rows(&read, &mut |row| {
            batch.add(subjects, &row);
            if batch.len() > MAX_SUMS && subjects.len() == 1 { Next::Stop } else { Next::Continue }
        })
        .await?;
    Ok(batch)
}

/// Keeps sums in wider buckets, or not at all, if a day has too many values. Returns `true` if that changed the subject.
pub(super) async fn widen(
    session: &mut impl RollupSession,
    subject: &mut Subject,
    values: usize,
    before: i64,
) -> Result<bool, StoreError> {
    if values > MAX_DAILY_VALUES {
        for tier in Tier::ALL {
            session.remove(subject.id, tier, i64::MIN, i64::MAX).await?;
        }
        subject.live = None;
        return Ok(true);
    }
    if values <= MAX_HOURLY_VALUES || subject.live != Some(Tier::Hour) {
        return Ok(false);
    }
    let sealed = subject.sealed.get(Tier::Day.index()).copied().unwrap_or(0);
    let first = session.first_bucket(subject.id, Tier::Hour).await?;
    if let Some(first) = first {
        let first = Tier::Day.bucket(Tier::Hour.start(first)).max(sealed);
        session.fold(subject.id, Tier::Hour, Tier::Day, first, before.saturating_add(1).max(first)).await?;
    }
    session.remove(subject.id, Tier::Hour, i64::MIN, i64::MAX).await?;
    subject.live = Some(Tier::Day);
    Ok(true)
}
