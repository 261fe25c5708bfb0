//! Compares sums with the rows that they were computed from.

use std::collections::BTreeMap;

use crate::store::StoreError;

use super::{
    RollupKey, RollupSession, RollupState, Span, Subject, SumRead, Tier, Totals, Transaction, build::sums_of_days,
    pace::Pace, quarter_of, quarter_start,
};

/// The number of requests whose sums are held in memory. A day has more if it must.
const PORTION_REQUESTS: u64 = 50_000;

/// The largest number of days whose sums are held in memory.
const PORTION_DAYS: i64 = 64;

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
    let ready = ready(&state);
    let live: Vec<Subject> = ready.iter().map(live_only).collect();
    let days = days(session, &state, &live, from, to).await?;
    for (from, to) in portions(session, &state, &days).await? {
        let expected = sums_of_days(session, &live, from, to).await?.into_sums();
        let mut found = BTreeMap::new();
        for subject in &live {
            let Some(tier) = subject.live else { continue };
            // Sums before the first bucket that is kept are used no more, and deleted in steps.
            let kept = subject.kept.get(tier.index()).copied().unwrap_or(0);
            let (from, to) = (tier.bucket(Tier::Day.start(from)).max(kept), tier.bucket(Tier::Day.start(to)));
            found.extend(read(session, subject, tier, from, to).await?);
        }
        compare(&expected, &found, &mut differences);
    }
    for subject in &ready {
        for tier in subject.live.iter().flat_map(|live| live.coarser()) {
            let sealed = subject.sealed.get(tier.index()).copied().unwrap_or(0);
            let end = (tier.bucket(quarter_of(to.saturating_sub(1))) + 1).min(sealed);
            let mut bucket = tier.bucket(quarter_of(from));
            // The sums of many values are compared one bucket at a time.
            let step = if subject.has_histograms() { (STEP_QUARTERS / tier.quarters()).max(1) } else { 1 };
            while let Some(first) = first_sealed(session, subject, tier, bucket).await?.filter(|first| *first < end) {
                bucket = first.saturating_add(step).min(end);
                compare_sealed(session, subject, tier, (first, bucket), &mut differences).await?;
            }
        }
    }
    session.commit().await?;
    Ok(differences)
}

/// Returns the first bucket of a sealed tier, from a bucket on, that has sums, or whose finer buckets have some.
async fn first_sealed(
    session: &mut impl RollupSession,
    subject: &Subject,
    tier: Tier,
    from: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(finer) = tier.finer() else { return Ok(None) };
    let own = session.first_bucket(subject.id, tier, from).await?;
    let finer_bucket = session.first_bucket(subject.id, finer, finer.bucket(tier.start(from))).await?;
    Ok(own.into_iter().chain(finer_bucket.map(|bucket| tier.bucket(finer.start(bucket)))).min())
}

/// Computes the sums of a range from its rows again, step by step. The range is extended to whole days.
///
/// # Errors
/// Returns [`StoreError::RowsDeleted`] if rows of the range were deleted.
pub(crate) async fn rebuild(session: &mut impl RollupSession, from: u64, to: u64) -> Result<(), StoreError> {
    session.begin(Transaction::Snapshot).await?;
    let state = session.state().await?;
    let days = days(session, &state, &ready(&state), from, to).await?;
    let portions = portions(session, &state, &days).await?;
    session.commit().await?;
    for (from, to) in portions {
        session.begin(Transaction::Exclusive).await?;
        let state = session.state().await?;
        if quarter_start(Tier::Day.start(from)) < state.rows_from {
            return Err(StoreError::RowsDeleted);
        }
        let live: Vec<Subject> = ready(&state).iter().map(live_only).collect();
        for subject in &live {
            let Some(tier) = subject.live else { continue };
            let (from, to) = (tier.bucket(Tier::Day.start(from)), tier.bucket(Tier::Day.start(to)));
            session.remove(subject.id, tier, from, to).await?;
        }
        let sums = sums_of_days(session, &live, from, to).await?;
        session.add(&sums).await?;
        session.commit().await?;
    }
    if let (Some(first), Some(last)) = (days.first(), days.last()) {
        for subject in &ready(&state) {
            for tier in subject.live.iter().flat_map(|live| live.coarser()) {
                refold(session, subject.id, tier, *first, *last).await?;
            }
        }
    }
    Ok(())
}

/// Adds up the finer sums of the sealed buckets of some days again, step by step.
async fn refold(
    session: &mut impl RollupSession,
    id: i32,
    tier: Tier,
    first: i64,
    last: i64,
) -> Result<(), StoreError> {
    let Some(finer) = tier.finer() else { return Ok(()) };
    let mut pace = Pace::default();
    let mut bucket = tier.bucket(Tier::Day.start(first));
    loop {
        session.begin(Transaction::Exclusive).await?;
        let state = session.state().await?;
        let subject = state.subjects.iter().find(|subject| subject.id == id && subject.is_ready());
        let is_folded = |subject: &&Subject| subject.live.is_some_and(|live| live < tier);
        let Some(subject) = subject.filter(is_folded) else { return session.commit().await };
        // Finer sums that were deleted cannot be added up again. What they added up to stays.
        let kept = subject.kept.get(finer.index()).copied().unwrap_or(0);
        let sealed = subject.sealed.get(tier.index()).copied().unwrap_or(0);
        let end = (tier.bucket(Tier::Day.start(last + 1) - 1) + 1).min(sealed);
        let from = bucket.max(tier.bucket_after(finer.start(kept)));
        let from = first_sealed(session, subject, tier, from).await?.filter(|from| *from < end);
        if let Some(from) = from {
            bucket = from.saturating_add(pace.step(tier)).min(end);
            session.remove(id, tier, from, bucket).await?;
            session.fold(id, finer, tier, from, bucket).await?;
            pace.end();
        }
        session.commit().await?;
        if from.is_none() {
            return Ok(());
        }
    }
}

fn ready(state: &RollupState) -> Vec<Subject> {
    state.subjects.iter().filter(|subject| subject.is_ready()).cloned().collect()
}

/// The subject with its live tier alone.
fn live_only(subject: &Subject) -> Subject {
    Subject { sealed: [0; 5], ..subject.clone() }
}

/// Returns the days of a range that have rows or sums.
async fn days(
    session: &mut impl RollupSession,
    state: &RollupState,
    ready: &[Subject],
    from: u64,
    to: u64,
) -> Result<Vec<i64>, StoreError> {
    let mut day = Tier::Day.bucket(quarter_of(from));
    if quarter_start(Tier::Day.start(day)) < state.rows_from {
        return Err(StoreError::RowsDeleted);
    }
    let end = Tier::Day.bucket(quarter_of(to.saturating_sub(1))) + 1;
    let mut days = Vec::new();
    while day < end {
        let row = session.first_row(quarter_start(Tier::Day.start(day))).await?;
        let mut next = row.map(|row| Tier::Day.bucket(quarter_of(row)));
        if next != Some(day) {
            for subject in ready {
                let Some(live) = subject.live else { continue };
                let bucket = session.first_bucket(subject.id, live, live.bucket(Tier::Day.start(day))).await?;
                next = next.into_iter().chain(bucket.map(|bucket| Tier::Day.bucket(live.start(bucket)))).min();
            }
        }
        let Some(next) = next.filter(|next| *next < end) else { break };
        days.push(next);
        day = next + 1;
    }
    Ok(days)
}

/// Divides days into ranges with a limited number of requests.
async fn portions(
    session: &mut impl RollupSession,
    state: &RollupState,
    days: &[i64],
) -> Result<Vec<(i64, i64)>, StoreError> {
    let Some(base) = state.base() else { return Ok(Vec::new()) };
    let spans = days.iter().enumerate().map(|(part, day)| {
        let tier = base.live.unwrap_or(Tier::QuarterHour);
        Span { part, tier, from: tier.bucket(Tier::Day.start(*day)), to: tier.bucket(Tier::Day.start(day + 1)) }
    });
    let read = SumRead::requests(base.id, spans.collect());
    let mut requests = vec![0; days.len()];
    for sums in session.sums(&read).await? {
        if let Some(requests) = requests.get_mut(sums.part) {
            *requests += sums.totals.requests;
        }
    }
    let mut portions: Vec<(i64, i64)> = Vec::new();
    let mut sum = 0;
    for (day, requests) in days.iter().zip(requests) {
        match portions.last_mut() {
            Some((start, end)) if *end == *day && *day - *start < PORTION_DAYS && sum < PORTION_REQUESTS => *end += 1,
            _ => {
                portions.push((*day, *day + 1));
                sum = 0;
            }
        }
        sum += requests;
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
