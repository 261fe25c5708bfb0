//! Folds past buckets into coarser ones, and deletes sums that are older than the retention.

use crate::store::StoreError;

use super::{
    RollupSession, Span, Subject, SumRead, Tier, Transaction,
    build::{MAX_DAILY_VALUES, MAX_HOURLY_VALUES},
    pace::Pace,
    quarter_of,
    remove::remove_unused,
};

/// For how long rows and sums are kept. `None` keeps them forever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptFrom {
    /// The time before which sums of quarter hours and hours are deleted, in microseconds since 1970.
    pub(crate) hours: Option<u64>,
    /// The time before which sums of days and of eight days are deleted.
    pub(crate) days: Option<u64>,
}

/// Seals the buckets that ended before `now`, and deletes sums of fine tiers.
pub(crate) async fn maintain(session: &mut impl RollupSession, now: u64, keep: KeptFrom) -> Result<(), StoreError> {
    for id in subjects(session).await? {
        let mut pace = Pace::default();
        while seal_step(session, id, now, &mut pace).await? {}
        limit_values(session, id, now).await?;
        delete(session, id, keep).await?;
        remove_unused(session, id).await?;
    }
    Ok(())
}

async fn subjects(session: &mut impl RollupSession) -> Result<Vec<i32>, StoreError> {
    session.begin(Transaction::Snapshot).await?;
    let state = session.state().await?;
    session.commit().await?;
    Ok(state.subjects.iter().map(|subject| subject.id).collect())
}

/// Returns a subject that is ready.
async fn ready(session: &mut impl RollupSession, id: i32) -> Result<Option<Subject>, StoreError> {
    let state = session.state().await?;
    Ok(state.subjects.into_iter().find(|subject| subject.id == id && subject.is_ready()))
}

/// Widens the buckets of a subject whose values became too many. The sums that are not used then are left to be removed.
async fn limit_values(session: &mut impl RollupSession, id: i32, now: u64) -> Result<(), StoreError> {
    session.begin(Transaction::Exclusive).await?;
    if let Some(mut subject) = ready(session, id).await?
        && let Some(live) = subject.live
        && subject.first.is_some()
    {
        let today = Tier::Day.bucket(quarter_of(now));
        let mut most = 0;
        for day in [today - 1, today] {
            let (from, to) = (live.bucket(Tier::Day.start(day)), live.bucket(Tier::Day.start(day + 1)));
            let read = SumRead::requests(id, vec![Span { part: 0, tier: live, from, to }]);
            most = most.max(session.sums(&read).await?.len());
        }
        if most > MAX_DAILY_VALUES {
            subject.live = None;
        } else if most > MAX_HOURLY_VALUES && live == Tier::Hour {
            // Past days are sealed, so few hours are left.
            let sealed = subject.sealed.get(Tier::Day.index()).copied().unwrap_or(0);
            session.fold(id, Tier::Hour, Tier::Day, sealed, i64::MAX).await?;
            subject.live = Some(Tier::Day);
        }
        if subject.live != Some(live) {
            session.save(&subject).await?;
        }
    }
    session.commit().await
}

/// Seals some buckets of the finest tier that has any. Returns `false` if there are none.
async fn seal_step(session: &mut impl RollupSession, id: i32, now: u64, pace: &mut Pace) -> Result<bool, StoreError> {
    session.begin(Transaction::Exclusive).await?;
    let mut has_more = false;
    if let Some(mut subject) = ready(session, id).await?
        && let Some(live) = subject.live
    {
        for tier in live.coarser() {
            let Some(finer) = tier.finer() else { continue };
            let finer_end = if finer == live {
                quarter_of(now)
            } else {
                finer.start(subject.sealed.get(finer.index()).copied().unwrap_or(0))
            };
            let end = tier.bucket(finer_end);
            let Some(sealed) = subject.sealed.get(tier.index()).copied().filter(|sealed| *sealed < end) else {
                continue;
            };
            let first = session.first_bucket(id, finer, finer.bucket(tier.start(sealed))).await?;
            // Nothing needs to be folded before the first bucket.
            let from = first.map_or(end, |first| tier.bucket(finer.start(first)).min(end));
            let to = end.min(from + pace.step(tier));
            session.fold(id, finer, tier, from, to).await?;
            pace.end();
            if let Some(sealed) = subject.sealed.get_mut(tier.index()) {
                *sealed = to;
            }
            session.save(&subject).await?;
            has_more = true;
            break;
        }
    }
    session.commit().await?;
    Ok(has_more)
}

/// Ends the use of sums that are older than the retention.
async fn delete(session: &mut impl RollupSession, id: i32, keep: KeptFrom) -> Result<(), StoreError> {
    session.begin(Transaction::Exclusive).await?;
    if let Some(mut subject) = ready(session, id).await? {
        for tier in [Tier::QuarterHour, Tier::Hour, Tier::Day, Tier::EightDays] {
            let limit = if tier <= Tier::Hour { keep.hours } else { keep.days };
            let (Some(limit), Some(live)) = (limit, subject.live) else { continue };
            let Some(coarser) = tier.coarser().next().filter(|_| tier >= live) else { continue };
            // Only what a coarser tier holds.
            let sealed = coarser.start(subject.sealed.get(coarser.index()).copied().unwrap_or(0));
            let bucket = tier.bucket(quarter_of(limit).min(sealed));
            let bucket = tier.bucket(coarser.start(coarser.bucket(tier.start(bucket))));
            let Some(kept) = subject.kept.get_mut(tier.index()).filter(|kept| **kept < bucket) else { continue };
            *kept = bucket;
        }
        session.save(&subject).await?;
    }
    session.commit().await
}
