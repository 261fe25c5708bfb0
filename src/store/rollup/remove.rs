//! Deletes sums that no query reads.

use crate::store::StoreError;

use super::{RollupSession, Subject, Tier, Transaction, pace::Pace};

/// Deletes the sums of a subject that are neither read nor added to any more, step by step.
pub(super) async fn remove_unused(session: &mut impl RollupSession, id: i32) -> Result<(), StoreError> {
    for tier in Tier::ALL {
        session.begin(Transaction::Snapshot).await?;
        let mut is_left = first_unused(session, id, tier).await?.is_some();
        session.commit().await?;
        let mut pace = Pace::default();
        while is_left {
            session.begin(Transaction::Exclusive).await?;
            let buckets = pace.step(tier);
            let found = first_unused(session, id, tier).await?;
            if let Some((first, end)) = found {
                session.remove(id, tier, first, first.saturating_add(buckets).min(end)).await?;
            }
            pace.end();
            session.commit().await?;
            is_left = found.is_some();
        }
    }
    Ok(())
}

/// Returns `true` if a subject has sums that are neither read nor added to any more.
pub(super) async fn has_unused(session: &mut impl RollupSession, id: i32) -> Result<bool, StoreError> {
    for tier in Tier::ALL {
        if first_unused(session, id, tier).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the first bucket that is unused, and the end of the unused buckets.
async fn first_unused(session: &mut impl RollupSession, id: i32, tier: Tier) -> Result<Option<(i64, i64)>, StoreError> {
    let state = session.state().await?;
    let Some(subject) = state.subjects.iter().find(|subject| subject.id == id) else { return Ok(None) };
    let end = unused_before(subject, tier);
    let first = session.first_bucket(id, tier, i64::MIN).await?;
    Ok(first.filter(|first| *first < end).map(|first| (first, end)))
}

fn unused_before(subject: &Subject, tier: Tier) -> i64 {
    match subject.live {
        Some(live) if live <= tier => subject.kept.get(tier.index()).copied().unwrap_or(0),
        _ => i64::MAX,
    }
}
