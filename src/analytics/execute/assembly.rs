use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use jiff::Timestamp;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::store::rollup::SumColumn;
use crate::{
    analytics::{Amount, Answer, Basis, Cell, FeedbackTotals, Grant, Group, Measure, Order, Query, QueryError},
    row::{Dimension, Filter},
    store::Totals,
};

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::measures::columns;
use super::{
    collect::{Collect, Collected, GroupKey},
    group_cursor::GroupCursor,
    measures::{ExtraValues, extra_value, value},
};

/// Turns a query into the sums that it needs, and these sums into the answer.
pub(crate) struct Assembly<'q> {
    query: &'q Query,
    grant: &'q Grant,
    group_by: Vec<Dimension>,
    filters: Vec<Filter>,
    /// The dimensions that measures need in addition to the groups.
    extras: Vec<Dimension>,
    /// The instants at which the buckets of the query begin, and the end of the range.
    cuts: Vec<Timestamp>,
}

/// The sums of one set of groups, and the same sums by each further dimension.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) sums: Collected,
    pub(crate) extras: Vec<Collected>,
}

/// The groups of a page in their order, the number of all groups, and the next cursor.
#[derive(Debug)]
pub(crate) struct Ranking {
    pub(crate) page: Vec<GroupKey>,
    count: u64,
    next: Option<String>,
}

/// The groups of an answer.
#[derive(Debug, Default)]
pub(crate) struct Page {
    groups: Vec<Group>,
    count: u64,
    next: Option<String>,
}

impl Sums {
    /// Combines the sums of collects: those of the groups, then those by each further dimension.
    pub(crate) fn new(collected: Vec<Collected>) -> Self {
        let mut collected = collected.into_iter();
        Self { sums: collected.next().unwrap_or_default(), extras: collected.collect() }
    }
}

impl<'q> Assembly<'q> {
    /// Checks a query.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if a part of the query is invalid.
    pub(crate) fn new(query: &'q Query, grant: &'q Grant) -> Result<Self, QueryError> {
        if query.group_by.len() > Query::MAX_GROUP_BY {
            let (max, found) = (Query::MAX_GROUP_BY, query.group_by.len());
            return Err(QueryError::invalid(format!("a query has at most {max} dimensions, found {found}")));
        }
        if query.limit == 0 || query.limit > Query::MAX_LIMIT {
            let (limit, max) = (query.limit, Query::MAX_LIMIT);
            return Err(QueryError::invalid(format!("invalid limit {limit}: expected a number from 1 to {max}")));
        }
        if let Some(Order::Ascending(measure) | Order::Descending(measure)) = &query.order
            && !query.measures.contains(measure)
        {
            return Err(QueryError::invalid(format!("cannot order by {measure}: it is not one of the measures")));
        }
        let mut cuts = match query.bucket {
            Some(bucket) => query.range.buckets(bucket)?,
            None => vec![query.range.from()],
        };
        cuts.push(query.range.to());
        let mut extras: Vec<Dimension> = query.measures.iter().filter_map(Measure::extra_dimension).collect();
        extras.sort_unstable();
        extras.dedup();
        Ok(Self {
            query,
            grant,
            group_by: query.group_by.iter().map(Dimension::stored).collect(),
            filters: query.filters.iter().chain(grant.filters()).map(Filter::stored).collect(),
            extras: extras.iter().map(Dimension::stored).collect(),
            cuts,
        })
    }

    /// Returns the starts of the buckets and the end of the range, in microseconds since 1970.
    pub(crate) fn cuts(&self) -> Vec<u64> {
        self.cuts.iter().map(|cut| u64::try_from(cut.as_microsecond()).unwrap_or(0)).collect()
    }

    pub(crate) fn has_groups(&self) -> bool {
        !self.group_by.is_empty()
    }

    pub(crate) fn has_series(&self) -> bool {
        self.query.bucket.is_some()
    }

    pub(crate) fn needs_histograms(&self) -> bool {
        self.query.measures.iter().any(Measure::is_quantile)
    }

    pub(crate) fn needs_feedback(&self) -> bool {
        self.query.measures.iter().any(Measure::is_feedback)
    }

    /// Returns the conditions of all collects.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Returns what the total needs: the sums of everything, and those by each further dimension.
    pub(crate) fn total_collects(&self) -> Vec<Collect> {
        self.collects(&[], None)
    }

    /// Returns what the groups need. `only` limits them.
    pub(crate) fn group_collects(&self, only: Option<&BTreeSet<GroupKey>>) -> Vec<Collect> {
        self.collects(&self.group_by, only)
    }

    fn collects(&self, group_by: &[Dimension], only: Option<&BTreeSet<GroupKey>>) -> Vec<Collect> {
        let extras = self.extras.iter().map(|extra| [group_by, std::slice::from_ref(extra)].concat());
        let dimensions = std::iter::once(group_by.to_vec()).chain(extras);
        let collect = |dimensions| Collect { filters: self.filters.clone(), dimensions, only: only.cloned() };
        dimensions.map(collect).collect()
    }

    /// Returns what the ranking of the groups needs.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn ranking_collects(&self) -> Vec<Collect> {
        let mut collects = self.group_collects(None);
        if self.ranking_measure().is_none_or(|measure| measure.extra_dimension().is_none()) {
            collects.truncate(1);
        }
        collects
    }

    /// Returns the columns that the ranking of the groups needs.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn ranking_columns(&self) -> Vec<SumColumn> {
        let names = self.ranking_measure().map_or(&[][..], |measure| columns(&measure));
        SumColumn::all().filter(|column| column.name() == "requests" || names.contains(&column.name())).collect()
    }

    fn order(&self) -> Order {
        let first = || self.query.measures.first().cloned().map_or(Order::Values, Order::Descending);
        self.query.order.clone().unwrap_or_else(first)
    }

    fn ranking_measure(&self) -> Option<Measure> {
        match self.order() {
            Order::Descending(measure) | Order::Ascending(measure) => Some(measure),
            Order::Values => None,
        }
    }

    /// Returns the groups of the page in their order.
    pub(crate) fn rank(&self, groups: &Sums) -> Result<Ranking, QueryError> {
        let (order, measure) = (self.order(), self.ranking_measure());
        let has_extra = measure.as_ref().is_some_and(|measure| measure.extra_dimension().is_some());
        let extras = if has_extra { extra_index(groups) } else { ExtraIndex::new() };
        let value = |key: &GroupKey| {
            let (totals, feedback) = Self::totals(groups, key, None);
            self.value(measure.as_ref()?, &totals, &feedback, &extras, (key, None))
        };
        let mut all: Vec<Place<'_>> = groups.sums.groups.keys().map(|key| (value(key), key)).collect();
        all.sort_by(|one, other| compare(&order, *one, *other));
        let limit = usize::try_from(self.query.limit).unwrap_or(usize::MAX);
        let skip = match &self.query.cursor {
            None => 0,
            Some(cursor) => {
                let last = GroupCursor::parse(cursor, self.group_by.len())?;
                all.partition_point(|place| compare(&order, *place, (last.amount(), &last.values)).is_le())
            }
        };
        let has_more = all.len() > skip.saturating_add(limit);
        let page: Vec<Place<'_>> = all.iter().skip(skip).take(limit).copied().collect();
        let next = page.last().filter(|_| has_more);
        let next = next.and_then(|(by, values)| GroupCursor::new(*by, (*values).clone()).text());
        Ok(Ranking { page: page.into_iter().map(|(_, key)| key.clone()).collect(), count: all.len() as u64, next })
    }

    /// Returns the groups of a page.
    pub(crate) fn page(&self, ranking: Ranking, sums: &Sums) -> Page {
        let extras = extra_index(sums);
        let group = |values: GroupKey| Group {
            cell: self.cell(sums, &extras, &values, None),
            series: self.series(sums, &extras, &values),
            values,
        };
        Page { groups: ranking.page.into_iter().map(group).collect(), count: ranking.count, next: ranking.next }
    }

    /// Completes the answer.
    pub(crate) fn answer(&self, total: &Sums, page: Page, mut basis: Basis, cuts: &[u64]) -> Answer {
        let extras = extra_index(total);
        let everything = GroupKey::new();
        let cell = self.cell(total, &extras, &everything, None);
        let unpriced = value(&Measure::UnpricedShare, &cell.totals, &FeedbackTotals::default());
        basis.data_up_to = basis.data_up_to.map(|time| self.grant.seen_up_to(time));
        basis.unpriced_share = unpriced.map(Amount::as_f64);
        let starts = cuts.split_last().map_or(&[][..], |(_, starts)| starts);
        let time = |micros: &u64| Timestamp::from_microsecond(i64::try_from(*micros).unwrap_or(i64::MAX)).ok();
        Answer {
            group_by: self.query.group_by.iter().map(ToString::to_string).collect(),
            measures: self.query.measures.iter().map(ToString::to_string).collect(),
            buckets: if self.has_series() { starts.iter().filter_map(time).collect() } else { Vec::new() },
            series: self.series(total, &extras, &everything),
            total: cell,
            groups: page.groups,
            group_count: page.count,
            next: page.next,
            basis,
        }
    }

    fn series(&self, sums: &Sums, extras: &ExtraIndex, key: &GroupKey) -> Vec<Cell> {
        let parts = if self.has_series() { self.cuts.len() - 1 } else { 0 };
        (0..parts).map(|part| self.cell(sums, extras, key, Some(part))).collect()
    }

    /// Computes the measures of a group in one part of the range or in all. The group without values is everything.
    fn cell(&self, sums: &Sums, extras: &ExtraIndex, key: &GroupKey, part: Option<usize>) -> Cell {
        let (mut totals, feedback) = Self::totals(sums, key, part);
        if !self.needs_histograms() {
            totals = totals.without_histograms();
        }
        let value = |measure| self.value(measure, &totals, &feedback, extras, (key, part));
        let values = self.query.measures.iter().map(value).collect();
        Cell { values, totals, feedback }
    }

    fn totals(sums: &Sums, key: &GroupKey, part: Option<usize>) -> (Totals, FeedbackTotals) {
        let mut totals = Totals::default();
        let mut feedback = FeedbackTotals::default();
        let is_part = |at: &usize| part.is_none_or(|part| part == *at);
        for (_, more) in sums.sums.groups.get(key).into_iter().flatten().filter(|(at, _)| is_part(at)) {
            totals.add(more);
        }
        for (_, more) in sums.sums.feedback.get(key).into_iter().flatten().filter(|(at, _)| is_part(at)) {
            feedback.add(more);
        }
        (totals, feedback)
    }

    fn value(
        &self,
        measure: &Measure,
        totals: &Totals,
        feedback: &FeedbackTotals,
        extras: &ExtraIndex,
        (key, part): (&GroupKey, Option<usize>),
    ) -> Option<Amount> {
        let Some(extra) = measure.extra_dimension() else { return value(measure, totals, feedback) };
        let at = self.extras.iter().position(|other| *other == extra.stored())?;
        let none = ExtraValues::default();
        extra_value(measure, totals, extras.get(&(at, part, key.clone())).unwrap_or(&none))
    }
}

/// The value that a group is ordered by, and its own values.
type Place<'g> = (Option<Amount>, &'g GroupKey);

fn compare(order: &Order, one: Place<'_>, other: Place<'_>) -> Ordering {
    let by = match (one.0, other.0) {
        (Some(one), Some(other)) => {
            let ascending = compare_amounts(one, other);
            if matches!(order, Order::Descending(_)) { ascending.reverse() } else { ascending }
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    by.then_with(|| one.1.cmp(other.1))
}

type ExtraIndex = BTreeMap<(usize, Option<usize>, GroupKey), ExtraValues>;

/// Summarizes the further dimensions, by dimension, part (`None` for all), and group.
fn extra_index(sums: &Sums) -> ExtraIndex {
    let mut index = ExtraIndex::new();
    for (at, extra) in sums.extras.iter().enumerate() {
        for (key, parts) in &extra.groups {
            let Some((value, group)) = key.split_last() else { continue };
            let whole = std::iter::once((None, parts.iter().map(|(_, totals)| totals).collect::<Vec<_>>()));
            let single = parts.iter().map(|(part, totals)| (Some(*part), vec![totals]));
            for (part, totals) in whole.chain(single) {
                let values = index.entry((at, part, group.to_vec())).or_default();
                values.distinct += u64::from(value.is_some());
                // An empty value is as good as none.
                if value.as_deref().is_none_or(str::is_empty) {
                    totals.into_iter().for_each(|totals| values.unset.add(totals));
                }
            }
        }
    }
    index
}

fn compare_amounts(one: Amount, other: Amount) -> Ordering {
    match (one, other) {
        (Amount::Count(one), Amount::Count(other)) => one.cmp(&other),
        (Amount::NanoUsd(one), Amount::NanoUsd(other)) => one.cmp(&other),
        (one, other) => one.as_f64().total_cmp(&other.as_f64()),
    }
}
