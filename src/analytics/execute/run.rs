//! Answers queries from sums and rows of a database.

use std::{
    collections::BTreeSet,
    time::{Instant, SystemTime},
};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    analytics::{Answer, Basis, Grain, QueryError},
    row::{Dimension, EventRow, Field, Filter},
    store::{
        Totals,
        rollup::{
            Next, RollupSession, RollupState, RowRead, Subject, SumColumn, SumRead, Transaction, decode, encode,
            quarter_start,
        },
    },
    time::{LAST_MICRO, micros_since_1970},
};

use super::{
    assembly::{Assembly, Page, Sums},
    collect::{Collect, Collected, GroupKey},
    cover::Cover,
    explain::Explanation,
    feedback_map::FeedbackMap,
    plan::{Bounds, Plan, plan as plan_of, plan_rows, source},
    row_limits::RowLimits,
};

/// The part of the row limit up to which rows are read where sums are too coarse, as a divisor.
const EXACT_SHARE: u64 = 4;

/// The largest number of feedback entries that a query reads, the latest ones.
const MAX_FEEDBACK: u64 = 100_000;

/// The number of traces whose requests are read at a time.
const TRACES_PER_READ: usize = 500;

/// The state of a query in progress.
struct Run<'a, S> {
    session: &'a mut S,
    assembly: &'a Assembly<'a>,
    bounds: Bounds,
    limits: RowLimits,
    rows_read: u64,
    feedback: FeedbackMap,
}

/// Sums to collect, and what is read for them.
struct Part<'p> {
    collect: Collect,
    subject: &'p Subject,
    /// The starts of the parts of the range, and its end.
    cuts: &'p [u64],
    cover: Cover,
    columns: Vec<SumColumn>,
}

/// Answers a query.
pub(crate) async fn run(
    session: &mut impl RollupSession,
    assembly: &Assembly<'_>,
    limits: RowLimits,
) -> Result<Answer, QueryError> {
    session.begin(Transaction::Snapshot).await?;
    let (mut run, state, mut plan, data_up_to) = prepare(session, assembly, limits).await?;
    let mut found = match &plan.subjects {
        Some(_) => run.read_sums(&plan).await?,
        None => None,
    };
    if found.is_none() && plan.subjects.is_some() {
        // There are more rows at the edges than a query may read, so the range is cut at buckets.
        let collects = run.all_collects();
        plan = plan_of(&state, run.bounds, &collects, &assembly.cuts(), false);
        found = if plan.subjects.is_some() { run.read_sums(&plan).await? } else { None };
    }
    let (total, page, plan) = match found {
        Some((total, page)) => (total, page, plan),
        None => run.read_rows(plan).await?,
    };
    let rows_read = run.rows_read;
    let feedback_note = run.feedback.note();
    session.commit().await?;
    let mut notes = plan.notes;
    let is_exact = !plan.is_cut && feedback_note.is_none();
    notes.extend(feedback_note);
    let time =
        |micros: u64| Timestamp::from_microsecond(i64::try_from(micros).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
    let basis = Basis {
        data_up_to: data_up_to.map(time),
        from: time(plan.cuts.first().copied().unwrap_or(0)),
        to: time(plan.cuts.last().copied().unwrap_or(0)),
        grain: plan.grain,
        is_exact,
        unpriced_share: None,
        rows_read,
        notes,
    };
    Ok(assembly.answer(&total, page, basis, &plan.cuts))
}

/// Returns how a query would be answered.
pub(crate) async fn explain(
    session: &mut impl RollupSession,
    assembly: &Assembly<'_>,
    limits: RowLimits,
) -> Result<Explanation, QueryError> {
    session.begin(Transaction::Snapshot).await?;
    let (run, _, plan, _) = prepare(session, assembly, limits).await?;
    let cuts = run.bounds.clamp(&ends(&plan.cuts));
    let collects = run.all_collects();
    let subjects = plan.subjects.iter().flatten();
    let covers = subjects.clone().map(|subject| Cover::of(subject, &cuts));
    let steps = subjects
        .zip(covers)
        .zip(&collects)
        .map(|((subject, cover), collect)| Explanation::sums(&collect.dimensions, subject, &cover.spans, &cover.edges));
    let steps: Vec<_> = steps.collect();
    session.commit().await?;
    Ok(Explanation::new(steps, plan.grain, plan.notes, limits.rows, limits.time))
}

fn ends(cuts: &[u64]) -> Vec<u64> {
    cuts.first().into_iter().chain(cuts.last()).copied().collect()
}

async fn prepare<'a, S: RollupSession>(
    session: &'a mut S,
    assembly: &'a Assembly<'a>,
    limits: RowLimits,
) -> Result<(Run<'a, S>, RollupState, Plan, Option<u64>), QueryError> {
    let state = session.state().await?;
    let last = session.last_row().await?;
    let mut first = session.first_row(0).await?;
    if let Some(base) = state.base() {
        for tier in crate::store::rollup::Tier::ALL {
            let bucket = session.first_bucket(base.id, tier, i64::MIN).await?;
            let start = bucket.map(|bucket| quarter_start(tier.start(bucket)));
            first = first.into_iter().chain(start).min();
        }
    }
    let now = micros_since_1970(SystemTime::now());
    // Sums may be of later requests than the last row, if rows were deleted.
    let end = last.unwrap_or(0).max(state.rows_from).max(now) + 1;
    let bounds = Bounds { first: first.unwrap_or(now), end };
    let feedback = FeedbackMap::default();
    let mut run = Run { session, assembly, bounds, limits, rows_read: 0, feedback };
    let cuts = assembly.cuts();
    if assembly.needs_feedback() {
        let collects = run.all_collects();
        let dimensions: Vec<Dimension> = collects.into_iter().flat_map(|collect| collect.dimensions).collect();
        run.feedback = read_feedback(run.session, assembly.filters(), &dimensions, limits).await?;
    }
    let mut plan = plan_of(&state, bounds, &run.all_collects(), &cuts, true);
    if plan.grain != Grain::Instant
        && let Some(base) = state.base()
        && cuts.first().is_some_and(|first| *first >= state.rows_from)
        && count(run.session, base, &bounds.clamp(&ends(&cuts))).await? <= limits.rows / EXACT_SHARE
    {
        // An exact answer from few rows is better than one whose range is cut.
        plan = plan_rows(&state, bounds, &cuts);
    }
    Ok((run, state, plan, last))
}

/// Reads the feedback and the requests that it counts for.
///
/// The requests have the columns that conditions and dimensions need.
pub(crate) async fn read_feedback(
    session: &mut impl RollupSession,
    filters: &[Filter],
    dimensions: &[Dimension],
    limits: RowLimits,
) -> Result<FeedbackMap, QueryError> {
    let limit = limits.rows.min(MAX_FEEDBACK);
    let workspaces = FeedbackMap::workspaces(filters);
    let mut map = FeedbackMap::new(session.feedback(workspaces.as_deref(), limit).await?);
    for ids in map.traces().chunks(TRACES_PER_READ) {
        let filter = Filter::Trace(ids.to_vec());
        let needed = filters.iter().chain([&filter]).cloned().collect::<Vec<_>>();
        let mut read = RowRead::sums((0, LAST_MICRO + 1), &needed, dimensions);
        // The first request of a trace is looked for among all of its requests.
        read.filters = vec![filter];
        read.add_columns(&["id", "workspace"]);
        read.is_newest_first = false;
        session
            .rows(&read, &mut |row| {
                map.assign(&row);
                Next::Continue
            })
            .await?;
    }
    Ok(map)
}

/// Returns the approximate number of requests in a range.
async fn count(session: &mut impl RollupSession, base: &Subject, cuts: &[u64]) -> Result<u64, QueryError> {
    let read = SumRead::requests(base.id, Cover::of(base, cuts).spans);
    Ok(session.sums(&read).await?.iter().map(|sums| sums.totals.requests).sum())
}

impl<S: RollupSession> Run<'_, S> {
    fn all_collects(&self) -> Vec<Collect> {
        let mut collects = self.assembly.total_collects();
        if self.assembly.has_groups() {
            collects.extend(self.assembly.group_collects(None));
        }
        collects
    }

    /// Reads sums. Returns `None` if more rows are needed in addition than a query may read.
    async fn read_sums(&mut self, plan: &Plan) -> Result<Option<(Sums, Page)>, QueryError> {
        let assembly = self.assembly;
        let subjects = plan.subjects.clone().unwrap_or_default();
        let totals = assembly.total_collects();
        let total_count = totals.len();
        let (of_totals, of_groups) = subjects.split_at(total_count.min(subjects.len()));
        let (cuts, ends) = (self.bounds.clamp(&plan.cuts), self.bounds.clamp(&ends(&plan.cuts)));
        let mut parts = self.parts(totals, of_totals, &cuts, None);
        // All groups are ranked by few columns of few large blocks. The rest is read for the groups that are returned.
        if assembly.has_groups() {
            let columns = assembly.ranking_columns();
            parts.extend(self.parts(assembly.ranking_collects(), of_groups, &ends, Some(&columns)));
        }
        let Some(mut found) = self.collect(&parts).await? else { return Ok(None) };
        let all = Sums::new(found.split_off(total_count));
        let total = Sums::new(found);
        if !assembly.has_groups() {
            return Ok(Some((total, Page::default())));
        }
        let ranking = assembly.rank(&all)?;
        let mut groups = Sums::default();
        if !ranking.page.is_empty() {
            let only: BTreeSet<GroupKey> = ranking.page.iter().cloned().collect();
            let parts = self.parts(assembly.group_collects(Some(&only)), of_groups, &cuts, None);
            let Some(found) = self.collect(&parts).await? else { return Ok(None) };
            groups = Sums::new(found);
        }
        Ok(Some((total, assembly.page(ranking, &groups))))
    }

    /// Combines collects with the subjects whose sums they read. `columns` limits these.
    fn parts<'p>(
        &self,
        collects: Vec<Collect>,
        subjects: &'p [Subject],
        cuts: &'p [u64],
        columns: Option<&[SumColumn]>,
    ) -> Vec<Part<'p>> {
        let needs_histograms = self.assembly.needs_histograms();
        let is_needed = |column: &SumColumn| match columns {
            Some(columns) => columns.contains(column),
            None => needs_histograms || !column.is_histogram(),
        };
        let part = |(collect, subject): (Collect, &'p Subject)| Part {
            collect,
            subject,
            cuts,
            cover: Cover::of(subject, cuts),
            columns: subject.columns().filter(is_needed).collect(),
        };
        collects.into_iter().zip(subjects).map(part).collect()
    }

    /// Reads sums, and each row at the edges once.
    async fn collect(&mut self, parts: &[Part<'_>]) -> Result<Option<Vec<Collected>>, QueryError> {
        let mut found = Vec::new();
        for part in parts {
            found.push(self.collect_sums(part).await?);
        }
        let collects: Vec<&Collect> = parts.iter().map(|part| &part.collect).collect();
        let covers: Vec<&Cover> = parts.iter().map(|part| &part.cover).collect();
        for range in Cover::all_edges(&covers) {
            let add = |row: &EventRow| {
                let (time, totals) = (micros_since_1970(row.requested_at), Totals::of(row));
                for (part, into) in parts.iter().zip(&mut found).filter(|(part, _)| part.cover.has_edge_at(time)) {
                    let has_histograms = part.subject.has_histograms();
                    let totals = if has_histograms { totals.clone() } else { totals.clone().without_histograms() };
                    part.collect.add_row(row, &totals, part.cuts, into)?;
                }
                Ok(())
            };
            if self.collect_rows(range, &collects, add).await?.is_some() {
                return Ok(None);
            }
        }
        for (part, into) in parts.iter().zip(&mut found) {
            part.collect.add_feedback(&self.feedback, part.cuts, into);
        }
        Ok(Some(found))
    }

    async fn collect_sums(&mut self, part: &Part<'_>) -> Result<Collected, QueryError> {
        let (collect, subject) = (&part.collect, part.subject);
        let workspace = Dimension::from(Field::Workspace);
        let uses_workspace = collect.dimensions.contains(&workspace)
            || collect.filters.iter().any(|filter| filter.dimension() == Some(&workspace));
        let read = SumRead {
            subject: subject.id,
            spans: part.cover.spans.clone(),
            only_first: only(collect, subject.first.as_ref()),
            only_workspaces: only(collect, Some(&workspace)),
            by_workspace: uses_workspace,
            columns: part.columns.clone(),
        };
        let filters: Vec<Filter> = collect.filters.iter().map(Filter::limited).collect();
        let mut collected = Collected::default();
        for sums in self.session.sums(&read).await? {
            let value = |dimension: &Dimension| -> Option<String> {
                let wanted = source(dimension);
                let stored = if wanted == workspace {
                    decode(&sums.workspace)
                } else if subject.first.as_ref() == Some(&wanted) {
                    decode(&sums.first)
                } else {
                    decode(&sums.second)
                };
                derived(dimension, stored)
            };
            let matches = |filter: &Filter| {
                filter.dimension().is_none_or(|dimension| filter.matches_value(value(dimension).map(Into::into)))
            };
            let key: GroupKey = collect.dimensions.iter().map(value).collect();
            if filters.iter().all(matches) && collect.includes(&key) {
                collected.add(key, sums.part, &sums.totals)?;
            }
        }
        Ok(collected)
    }

    async fn read_rows(&mut self, mut plan: Plan) -> Result<(Sums, Page, Plan), QueryError> {
        let collects = self.all_collects();
        let mut collected = vec![Collected::default(); collects.len()];
        let range = (plan.cuts.first().copied().unwrap_or(0), plan.cuts.last().copied().unwrap_or(0));
        let add = |row: &EventRow| {
            let totals = Totals::of(row);
            let mut pairs = collects.iter().zip(&mut collected);
            pairs.try_for_each(|(collect, into)| collect.add_row(row, &totals, &plan.cuts, into))
        };
        let cut = self.collect_rows(range, &collects.iter().collect::<Vec<_>>(), add).await?;
        if let Some(cut) = cut {
            // What was read before the limit was reached, from the end of the range.
            plan.is_cut = true;
            plan.notes.push(format!(
                "the answer begins later than the range: the limit of {} rows or {:?} was reached; add a filter on an \
                 active key, or activate a key",
                self.limits.rows, self.limits.time
            ));
            for start in &mut plan.cuts {
                *start = (*start).max(cut);
            }
        }
        for (collect, into) in collects.iter().zip(&mut collected) {
            collect.add_feedback(&self.feedback, &plan.cuts, into);
        }
        let groups = Sums::new(collected.split_off(self.assembly.total_collects().len()));
        let total = Sums::new(collected);
        let mut page = Page::default();
        if self.assembly.has_groups() {
            page = self.assembly.page(self.assembly.rank(&groups)?, &groups);
        }
        Ok((total, page, plan))
    }

    /// Adds the rows of a range that collects need, the latest first. Returns the time before which rows were not read, because
    /// a limit was reached.
    async fn collect_rows(
        &mut self,
        range: (u64, u64),
        collects: &[&Collect],
        mut add: impl FnMut(&EventRow) -> Result<(), QueryError> + Send,
    ) -> Result<Option<u64>, QueryError> {
        let dimensions = collects.iter().flat_map(|collect| &collect.dimensions);
        let read = RowRead::sums(range, self.assembly.filters(), dimensions);
        let (limits, started) = (self.limits, Instant::now());
        let mut failure = None;
        let mut count = 0;
        let mut cut = None;
        // Rows of the same microsecond are added together, so that a limit never separates them.
        let mut waiting: Vec<EventRow> = Vec::new();
        self.session
            .rows(&read, &mut |row| {
                count += 1;
                if waiting.first().is_some_and(|first| first.requested_at != row.requested_at) {
                    failure = waiting.drain(..).find_map(|row| add(&row).err());
                    let is_over = count > limits.rows || count % 1_024 == 0 && started.elapsed() > limits.time;
                    if failure.is_none() && is_over {
                        cut = Some(micros_since_1970(row.requested_at) + 1);
                    }
                }
                if failure.is_some() || cut.is_some() {
                    return Next::Stop;
                }
                waiting.push(row);
                Next::Continue
            })
            .await?;
        self.rows_read += count;
        let rest = if cut.is_none() && failure.is_none() { waiting } else { Vec::new() };
        let failure = failure.or_else(|| rest.into_iter().find_map(|row| add(&row).err()));
        failure.map_or(Ok(cut), Err)
    }
}

/// Returns the value of a dimension from the value that it is derived from.
fn derived(dimension: &Dimension, stored: Option<&str>) -> Option<String> {
    match dimension {
        Dimension::Field(Field::StatusClass) => {
            stored.and_then(|status| status.get(..1)).map(|class| format!("{class}xx"))
        }
        _ => stored.map(ToOwned::to_owned),
    }
}

/// Returns the encoded values of a dimension that can meet the conditions. `None` if that could be many.
fn only(collect: &Collect, dimension: Option<&Dimension>) -> Option<Vec<String>> {
    let dimension = dimension?;
    let filtered = collect.filters.iter().find_map(|filter| match filter {
        Filter::In(other, values) if other == dimension => {
            Some(values.iter().map(|value| encode(Some(value))).collect::<BTreeSet<_>>())
        }
        _ => None,
    });
    let at = collect.dimensions.iter().position(|other| other == dimension);
    let grouped = at.and_then(|at| {
        let only = collect.only.as_ref()?;
        only.iter().map(|key| key.get(at).map(|value| encode(value.as_deref()))).collect::<Option<BTreeSet<_>>>()
    });
    let values = match (filtered, grouped) {
        (Some(one), Some(other)) => one.intersection(&other).cloned().collect(),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return None,
    };
    Some(values.into_iter().collect())
}

/// Reads a page of rows. Returns the last row that was read as well, unless there are no more rows.
///
/// If a limit is reached before the page is full, the page is short, and continues after the last row that was read.
pub(crate) async fn run_rows(
    session: &mut impl RollupSession,
    read: &RowRead,
    filters: &[Filter],
    limit: usize,
    limits: RowLimits,
) -> Result<(Vec<EventRow>, Option<(u64, Uuid)>), QueryError> {
    let started = Instant::now();
    let mut rows: Vec<EventRow> = Vec::new();
    let mut count = 0_u64;
    let mut last = None;
    let mut has_more = false;
    session.begin(Transaction::Snapshot).await?;
    session
        .rows(read, &mut |row| {
            let is_over = count > limits.rows || count % 1_024 == 1_023 && started.elapsed() > limits.time;
            if rows.len() >= limit || is_over {
                has_more = true;
                return Next::Stop;
            }
            count += 1;
            last = Some((micros_since_1970(row.requested_at), row.id));
            if filters.iter().all(|filter| filter.matches(&row)) {
                rows.push(row);
            }
            Next::Continue
        })
        .await?;
    session.commit().await?;
    Ok((rows, last.filter(|_| has_more)))
}
