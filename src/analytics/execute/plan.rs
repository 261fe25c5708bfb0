//! Decides whether stored sums answer a query, and where its range is cut.

#![cfg(any(feature = "postgres", feature = "sqlite"))]

use crate::{
    analytics::Grain,
    row::{Dimension, Field, Filter},
    store::rollup::{RollupState, Subject, Tier, quarter_of, quarter_start},
};

use super::{collect::Collect, cover::Cover};

/// The share of a range that may be read row by row, as a divisor.
const EDGE_SHARE: u64 = 20;

/// The cuts of a query's range, and the stored sums to read.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The starts of the parts and the end of the range, in microseconds since 1970. All sums of the answer use them.
    pub(super) cuts: Vec<u64>,
    pub(super) grain: Grain,
    pub(super) notes: Vec<String>,
    /// `true` if the sums do not cover the range of the query.
    pub(super) is_cut: bool,
    /// For each collect: the stored sums to read. `None` reads the rows.
    pub(super) subjects: Option<Vec<Subject>>,
}

/// Returns the dimension whose stored values the values of a dimension are derived from.
pub(super) fn source(dimension: &Dimension) -> Dimension {
    match dimension {
        Dimension::Field(Field::StatusClass) => Field::Status.into(),
        other => other.clone(),
    }
}

/// Returns the dimensions that stored sums must distinguish, without the workspace, which all sums distinguish.
fn needed(collect: &Collect) -> Option<Vec<Dimension>> {
    let is_on_dimension = |filter: &Filter| filter.dimension().is_some();
    if !collect.filters.iter().all(is_on_dimension) {
        return None;
    }
    let filters = collect.filters.iter().filter_map(Filter::dimension);
    Some(summed(collect.dimensions.iter().chain(filters)))
}

/// Returns the dimensions of the sums that distinguish some dimensions: in their order, once each, and without the workspace.
#[allow(single_use_lifetimes, reason = "`impl Trait` needs a named lifetime")]
pub(crate) fn summed<'d>(dimensions: impl Iterator<Item = &'d Dimension>) -> Vec<Dimension> {
    let mut summed = Vec::new();
    for dimension in dimensions.map(source) {
        if dimension != Dimension::Field(Field::Workspace) && !summed.contains(&dimension) {
            summed.push(dimension);
        }
    }
    summed
}

/// The times of the data in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) first: u64,
    /// The time after the last request.
    pub(super) end: u64,
}

/// Plans the collects of a query.
pub(super) fn plan(state: &RollupState, bounds: Bounds, collects: &[Collect], cuts: &[u64], reads_edges: bool) -> Plan {
    let subjects = collects.iter().map(|collect| {
        let subject = state.find(&needed(collect)?)?;
        subject.is_ready().then(|| subject.clone())
    });
    let subjects: Option<Vec<Subject>> = subjects.collect();
    subjects
        .and_then(|subjects| plan_sums(state, bounds, subjects, cuts, reads_edges))
        .unwrap_or_else(|| plan_rows(state, bounds, cuts))
}

pub(super) fn plan_rows(state: &RollupState, bounds: Bounds, cuts: &[u64]) -> Plan {
    let mut plan =
        Plan { cuts: cuts.to_vec(), grain: Grain::Instant, notes: Vec::new(), is_cut: false, subjects: None };
    let has_lost_rows = state.rows_from > bounds.first || state.base().is_none() && state.rows_from > 0;
    if has_lost_rows {
        plan.start_at(state.rows_from, "the rows of earlier requests were deleted");
    }
    plan
}

fn plan_sums(
    state: &RollupState,
    bounds: Bounds,
    subjects: Vec<Subject>,
    cuts: &[u64],
    reads_edges: bool,
) -> Option<Plan> {
    let mut plan =
        Plan { cuts: cuts.to_vec(), grain: Grain::Instant, notes: Vec::new(), is_cut: false, subjects: None };
    // Sums of a key that was activated later do not include requests whose rows were deleted before.
    let since = subjects.iter().map(|subject| quarter_start(subject.since)).max().unwrap_or(0);
    if since > bounds.first {
        plan.start_at(since, "a key was activated after the rows of earlier requests were deleted");
    }
    let exact = plan.cuts.clone();
    let grains = [
        (Grain::Instant, None),
        (Grain::Hour, Some(Tier::Hour)),
        (Grain::Day, Some(Tier::Day)),
        (Grain::EightDays, Some(Tier::EightDays)),
        (Grain::SixtyFourDays, Some(Tier::SixtyFourDays)),
    ];
    // Parts that are finer than the grain become empty. The rows are better then, if they are left.
    let has_rows = plan.cuts.first().is_some_and(|first| *first >= state.rows_from);
    // At first, only what lies before the rows is rounded.
    let partly = grains.iter().map(|(grain, tier)| (*grain, tier.map(|tier| (tier, ceiling(state.rows_from, tier)))));
    let wholly = grains.iter().map(|(grain, tier)| (*grain, tier.map(|tier| (tier, u64::MAX))));
    for (grain, tier) in partly.chain(wholly) {
        let cuts = tier.map_or_else(|| exact.clone(), |(tier, before)| rounded(&exact, tier, before));
        let is_distinct = !has_rows || cuts == exact || cuts.windows(2).all(|ends| ends.first() < ends.last());
        let is_covered = |subject: &Subject| is_affordable(state, bounds, subject, &cuts, reads_edges);
        if is_distinct && subjects.iter().all(is_covered) {
            if grain != Grain::Instant && cuts != exact {
                plan.notes.push(format!("the range is cut at {} in UTC", grain.plural()));
                plan.is_cut = true;
            }
            (plan.cuts, plan.grain, plan.subjects) = (cuts, grain, Some(subjects));
            return Some(plan);
        }
    }
    None
}

/// Returns `true` if the rows that the sums do not distinguish exist, and are few.
fn is_affordable(state: &RollupState, bounds: Bounds, subject: &Subject, cuts: &[u64], reads_edges: bool) -> bool {
    let cuts = bounds.clamp(cuts);
    let cover = Cover::of(subject, &cuts);
    let length = cuts.last().copied().unwrap_or(0) - cuts.first().copied().unwrap_or(0);
    let live = subject.live.map_or(0, |live| quarter_start(live.quarters()));
    if !reads_edges {
        return cover.edges.is_empty();
    }
    cover.edge_micros() <= (length / EDGE_SHARE).max(2 * live)
        && cover.edges.first().is_none_or(|(from, _)| *from >= state.rows_from)
}

/// Returns the start of the bucket in UTC that a time lies in.
fn floor(micros: u64, tier: Tier) -> u64 {
    quarter_start(tier.start(tier.bucket(quarter_of(micros))))
}

/// Returns the first start of a bucket in UTC at or after a time.
fn ceiling(micros: u64, tier: Tier) -> u64 {
    let floor = floor(micros, tier);
    if floor < micros { floor + quarter_start(tier.quarters()) } else { floor }
}

/// Rounds the cuts before a time down to buckets in UTC, and the end of the range up.
fn rounded(cuts: &[u64], tier: Tier, before: u64) -> Vec<u64> {
    let last = cuts.len().saturating_sub(1);
    let round = |(at, cut): (usize, &u64)| match *cut {
        cut if cut >= before => cut,
        cut if at == last => ceiling(cut, tier),
        cut => floor(cut, tier),
    };
    cuts.iter().enumerate().map(round).collect()
}

impl Plan {
    fn start_at(&mut self, start: u64, reason: &str) {
        let end = self.cuts.last().copied().unwrap_or(0);
        if self.cuts.first().is_some_and(|first| *first < start) {
            for cut in &mut self.cuts {
                *cut = (*cut).max(start).min(end);
            }
            self.notes.push(format!("the answer begins later than the range: {reason}"));
            self.is_cut = true;
        }
    }
}

impl Bounds {
    /// Limits cuts to the times with data.
    pub(super) fn clamp(self, cuts: &[u64]) -> Vec<u64> {
        // Whole blocks of the coarsest tier, so that blocks at the ends stay whole.
        let block = quarter_start(Tier::SixtyFourDays.quarters());
        let first = self.first / block * block;
        let end = ((self.end / block + 1) * block).max(first);
        cuts.iter().map(|cut| (*cut).clamp(first, end)).collect()
    }
}
