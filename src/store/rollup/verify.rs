//! Compares sums with the rows that they were computed from.

use std::collections::BTreeMap;

use crate::store::StoreError;

use super::{
    RollupKey, RollupSession, RollupState, Span, Subject, SumRead, Tier, Totals, Transaction, build::sums_of_days,
    quarter_of, quarter_start,
};

/// The number of requests whose sums are held in memory. A day has more if it must.
const PORTION_REQUESTS: u64 = 50_000;

/// The number of quarter hours whose sealed buckets are compared at a time.
const STEP_QUARTERS: i64 = 6_144;

/// Returns the differences between the sums of a range and its rows, as sentences. The range is extended to whole days.
///
/// # Errors
/// Returns [`StoreError::RowsDeleted`] if rows of the range were deleted.
pub(crate) async fn verify(session: &mut impl RollupSession, from: u64, to: u64) -> Result<Vec<String>, StoreError> {
    session.begin(Transaction::Snapshot).await?;
    let state = session.state().await?;
    let mut differences = Vec::new();
    let ready: Vec<Subject> = state.subjects.iter().filter(|subject| subject.is_ready()).cloned().collect();
    let live: Vec<Subject> = ready.iter().map(live_only).collect();
    let days = days(session, &state, from, to).await?;
    for (from, to) in portions(session, &state, &days).await? {
        let expected = sums_of_days(session, &live, from, to).await?.into_sums();
        let mut found = BTreeMap::new();
        for subject in &live {
            let Some(tier) = subject.live else { continue };
            let (from, to) = (tier.bucket(Tier::Day.start(from)), tier.bucket(Tier::Day.start(to)));
            found.extend(read(session, subject, tier, from, to).await?);
        }
        compare(&expected, &found, &mut differences);
    }
    // Days before the first row have no sums.
    let first = days.first().map_or(quarter_of(from), |day| Tier::Day.start(*day));
    let last = days.last().map_or(first, |day| Tier::Day.start(day + 1) - 1);
    for subject in &ready {
        for tier in subject.live.iter().flat_map(|live| live.coarser()) {
            let sealed = subject.sealed.get(tier.index()).copied().unwrap_or(0);
            let end = (tier.bucket(last) + 1).min(sealed);
            let mut bucket = tier.bucket(first);
            // The sums of many values are compared one bucket at a time.
            let step = if subject.has_histograms() { (STEP_QUARTERS / tier.quarters()).max(1) } else { 1 };
            while bucket < end {
                let next = bucket.saturating_add(step).min(end);
                compare_sealed(session, subject, tier, (bucket, next), &mut differences).await?;
                bucket = next;
            }
        }
    }
    session.commit().await?;
    Ok(differences)
}

/// Computes the sums of a range from its rows again, in one transaction. The range is extended to whole days.
///
/// # Errors
/// Returns [`StoreError::RowsDeleted`] if rows of the range were deleted.
pub(crate) async fn rebuild(session: &mut impl RollupSession, from: u64, to: u64) -> Result<(), StoreError> {
    session.begin(Transaction::Exclusive).await?;
    let state = session.state().await?;
    let ready: Vec<Subject> = state.subjects.iter().filter(|subject| subject.is_ready()).cloned().collect();
    let live: Vec<Subject> = ready.iter().map(live_only).collect();
    let days = days(session, &state, from, to).await?;
    for (from, to) in portions(session, &state, &days).await? {
        for subject in &live {
            let Some(tier) = subject.live else { continue };
            let (from, to) = (tier.bucket(Tier::Day.start(from)), tier.bucket(Tier::Day.start(to)));
            session.remove(subject.id, tier, from, to).await?;
        }
        let sums = sums_of_days(session, &live, from, to).await?;
        session.add(&sums).await?;
    }
    if let (Some(first), Some(last)) = (days.first(), days.last()) {
        for subject in &ready {
            for tier in subject.live.iter().flat_map(|live| live.coarser()) {
                let Some(finer) = tier.finer() else { continue };
                let sealed = subject.sealed.get(tier.index()).copied().unwrap_or(0);
                // Finer sums that were deleted cannot be added up again. What they added up to stays.
                let kept = subject.kept.get(finer.index()).copied().unwrap_or(0);
                let first_whole = tier.bucket(finer.start(kept) + tier.quarters() - 1);
                let from = tier.bucket(Tier::Day.start(*first)).max(first_whole);
                let to = (tier.bucket(Tier::Day.start(last + 1) - 1) + 1).min(sealed);
                if from < to {
                    session.remove(subject.id, tier, from, to).await?;
                    session.fold(subject.id, finer, tier, from, to).await?;
                }
            }
        }
    }
    session.commit().await
}

/// The subject with its live tier alone.
fn live_only(subject: &Subject) -> Subject {
    Subject { sealed: [0; 5], ..subject.clone() }
}

/// Returns the days of a range that have rows or may have sums.
async fn days(
    session: &mut impl RollupSession,
    state: &RollupState,
    from: u64,
    to: u64,
) -> Result<Vec<i64>, StoreError> {
    let first = Tier::Day.bucket(quarter_of(from));
    if quarter_start(Tier::Day.start(first)) < state.rows_from {
        return Err(StoreError::RowsDeleted);
    }
    // Before the first row and after the last one, there are neither rows nor sums of them.
    let start = session.first_row(quarter_start(Tier::Day.start(first))).await?;
    let end = session.last_row().await?;
    let (Some(start), Some(end)) = (start, end) else { return Ok(Vec::new()) };
    let last = Tier::Day.bucket(quarter_of(to.saturating_sub(1).min(end)));
    Ok((Tier::Day.bucket(quarter_of(start))..=last).collect())
}

/// Divides days into ranges with a limited number of requests.
async fn portions(
    session: &mut impl RollupSession,
    state: &RollupState,
    days: &[i64],
) -> Result<Vec<(i64, i64)>, StoreError> {
    let (Some(base), Some(first), Some(last)) = (state.base(), days.first(), days.last()) else {
        return Ok(Vec::new());
    };
    let spans = (*first..=*last).enumerate().map(|(part, day)| {
        let tier = base.live.unwrap_or(Tier::QuarterHour);
        Span { part, tier, from: tier.bucket(Tier::Day.start(day)), to: tier.bucket(Tier::Day.start(day + 1)) }
    });
    let read = SumRead::requests(base.id, spans.collect());
    let mut requests = BTreeMap::new();
    for sums in session.sums(&read).await? {
        let day = first + i64::try_from(sums.part).unwrap_or(0);
        *requests.entry(day).or_insert(0) += sums.totals.requests;
    }
    let (mut portions, mut start, mut sum) = (Vec::new(), *first, 0);
    for day in *first..=*last {
        sum += requests.get(&day).copied().unwrap_or(0);
        if sum >= PORTION_REQUESTS || day == *last {
            portions.push((start, day + 1));
            (start, sum) = (day + 1, 0);
        }
    }
    Ok(portions)
}

async fn read(
    session: &mut impl RollupSession,
    subject: &Subject,
    tier: Tier,
    from: i64,
    to: i64,
) -> Result<BTreeMap<RollupKey, Totals>, StoreError> {
    let spans = (from..to).enumerate().map(|(part, bucket)| Span { part, tier, from: bucket, to: bucket + 1 });
    let read = SumRead {
        subject: subject.id,
        spans: spans.collect(),
        only_first: None,
        only_workspaces: None,
        by_workspace: true,
        columns: subject.columns().collect(),
    };
    let found = session.sums(&read).await?.into_iter().map(|sums| {
        let bucket = from + i64::try_from(sums.part).unwrap_or(0);
        let key = RollupKey {
            subject: subject.id,
            tier,
            bucket,
            first: sums.first.into(),
            second: sums.second.into(),
            workspace: sums.workspace.into(),
        };
        (key, sums.totals)
    });
    Ok(found.collect())
}

async fn compare_sealed(
    session: &mut impl RollupSession,
    subject: &Subject,
    tier: Tier,
    (from, to): (i64, i64),
    differences: &mut Vec<String>,
) -> Result<(), StoreError> {
    let Some(finer) = tier.finer() else { return Ok(()) };
    // Finer sums may have been deleted.
    let is_checked =
        |bucket: i64| subject.is_usable(tier, bucket) && subject.is_usable(finer, finer.bucket(tier.start(bucket)));
    let mut expected: BTreeMap<RollupKey, Totals> = BTreeMap::new();
    let (first, end) = (finer.bucket(tier.start(from)), finer.bucket(tier.start(to)));
    for (key, totals) in read(session, subject, finer, first, end).await? {
        let bucket = tier.bucket(finer.start(key.bucket));
        if is_checked(bucket) {
            expected.entry(RollupKey { tier, bucket, ..key }).or_default().add(&totals);
        }
    }
    let mut found = read(session, subject, tier, from, to).await?;
    found.retain(|key, _| is_checked(key.bucket));
    compare(&expected, &found, differences);
    Ok(())
}

fn compare(expected: &BTreeMap<RollupKey, Totals>, found: &BTreeMap<RollupKey, Totals>, differences: &mut Vec<String>) {
    let keys: std::collections::BTreeSet<&RollupKey> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let (expected, found) = (expected.get(key), found.get(key));
        if expected != found {
            let requests = |totals: Option<&Totals>| totals.map_or(0, |totals| totals.requests);
            differences.push(format!(
                "subject {} tier {:?} bucket {} value {:?} {:?} workspace {:?}: the rows have {} requests, the sums {}{}",
                key.subject,
                key.tier,
                key.bucket,
                key.first,
                key.second,
                key.workspace,
                requests(expected),
                requests(found),
                if requests(expected) == requests(found) { ", and other sums differ" } else { "" },
            ));
        }
    }
}
