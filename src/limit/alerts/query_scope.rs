use std::collections::BTreeMap;

use crate::{
    analytics::{Analytics, Filter, Grant, Measure, Order, Query, QueryError, TimeRange},
    limit::rules::Condition,
    registry::Glob,
    store::{Dimension, Totals},
};

use super::alert_condition::matches;

/// Maximum number of groups that a query reads.
const MAX_GROUPS: usize = 20_000;

/// The requests that a query of an alert covers.
///
/// Conditions become conditions of the query where it can express them. Otherwise, the query groups by the property, and the
/// condition is applied to the groups.
#[derive(Clone, Debug, Default)]
pub(super) struct QueryScope {
    filters: Vec<Filter>,
    on_groups: Vec<OnGroups>,
}

/// A condition that is applied to groups.
#[derive(Clone, Debug)]
struct OnGroups {
    dimension: Dimension,
    patterns: Vec<Glob>,
    /// `true` if requests must not match.
    is_excluded: bool,
}

impl QueryScope {
    pub(super) fn new<'c>(
        when: impl IntoIterator<Item = &'c Condition>,
        exclude: impl IntoIterator<Item = &'c Condition>,
    ) -> Self {
        let mut scope = Self::default();
        when.into_iter().for_each(|condition| scope.add(condition, false));
        exclude.into_iter().for_each(|condition| scope.add(condition, true));
        scope
    }

    fn add(&mut self, condition: &Condition, is_excluded: bool) {
        let dimension = condition.dimension.clone();
        let literals: Option<Vec<String>> = condition.patterns.iter().map(Glob::literal).collect();
        let prefix = match condition.patterns.as_slice() {
            [only] => only.prefix(),
            _ => None,
        };
        match (literals, prefix, is_excluded) {
            (Some(values), _, true) => {
                // An empty value counts as missing, so no pattern matches it.
                let values = values.into_iter().filter(|value| !value.is_empty()).collect();
                self.filters.push(Filter::NotIn(dimension, values));
            }
            (Some(values), _, false) => {
                let values = values.into_iter().filter(|value| !value.is_empty()).collect();
                self.filters.push(Filter::In(dimension, values));
            }
            (None, Some(prefix), false) if prefix.is_empty() => self.require(dimension),
            (None, Some(prefix), false) => self.filters.push(Filter::Prefix(dimension, prefix)),
            _ => self.on_groups.push(OnGroups { dimension, patterns: condition.patterns.clone(), is_excluded }),
        }
    }

    /// Adds the condition that there is a value that is not empty.
    pub(super) fn require(&mut self, dimension: Dimension) {
        self.filters.push(Filter::NotIn(dimension.clone(), vec![String::new()]));
        self.filters.push(Filter::Has(dimension));
    }

    /// Adds a condition of the query.
    pub(super) fn filter(&mut self, filter: Filter) {
        self.filters.push(filter);
    }

    /// Adds the conditions of another scope.
    pub(super) fn extend(&mut self, other: Self) {
        self.filters.extend(other.filters);
        self.on_groups.extend(other.on_groups);
    }

    /// Returns the number of dimensions by which queries group in addition to their own.
    pub(super) fn extra_dimensions(&self) -> usize {
        self.dimensions(&[]).len()
    }

    fn dimensions(&self, group_by: &[Dimension]) -> Vec<Dimension> {
        let mut dimensions = group_by.to_vec();
        for condition in &self.on_groups {
            if !dimensions.contains(&condition.dimension) {
                dimensions.push(condition.dimension.clone());
            }
        }
        dimensions
    }

    fn covers(&self, dimensions: &[Dimension], values: &[Option<String>]) -> bool {
        self.on_groups.iter().all(|condition| {
            let at = dimensions.iter().position(|dimension| *dimension == condition.dimension);
            let value = at.and_then(|at| values.get(at)).and_then(Option::as_deref);
            value.is_some_and(|value| matches(&condition.patterns, value)) != condition.is_excluded
        })
    }

    /// Returns the sums of each group. An empty value counts as missing.
    ///
    /// # Errors
    ///
    /// As [`Analytics::run`], and [`QueryError::TooLarge`] if there are too many groups.
    pub(super) async fn sums(
        &self,
        analytics: &Analytics,
        range: &TimeRange,
        group_by: &[Dimension],
        measures: &[Measure],
    ) -> Result<BTreeMap<Vec<Option<String>>, Totals>, QueryError> {
        let dimensions = self.dimensions(group_by);
        let mut query = self.query(range, &dimensions, measures).limit(Query::MAX_LIMIT).order(Order::Values);
        let mut sums: BTreeMap<Vec<Option<String>>, Totals> = BTreeMap::new();
        let mut read = 0;
        loop {
            let answer = analytics.run(&query, &Grant::everything()).await?;
            if dimensions.is_empty() {
                sums.insert(Vec::new(), answer.total.totals);
                return Ok(sums);
            }
            read += answer.groups.len();
            if read > MAX_GROUPS {
                return Err(QueryError::TooLarge(format!("an alert's query has more than {MAX_GROUPS} groups")));
            }
            for group in answer.groups.iter().filter(|group| self.covers(&dimensions, &group.values)) {
                let own = group.values.iter().take(group_by.len());
                let key = own.map(|value| value.clone().filter(|value| !value.is_empty())).collect();
                sums.entry(key).or_default().add(&group.cell.totals);
            }
            let Some(next) = answer.next else { return Ok(sums) };
            query.cursor = Some(next);
        }
    }

    fn query(&self, range: &TimeRange, dimensions: &[Dimension], measures: &[Measure]) -> Query {
        let mut query = Query::new(range.clone());
        query.filters.clone_from(&self.filters);
        query.group_by = dimensions.to_vec();
        query.measures = measures.to_vec();
        query
    }

    /// Returns the sums of the values of a dimension with the largest values of a measure, at most `count`.
    ///
    /// If conditions are applied to groups, only the 1,000 largest groups are considered.
    ///
    /// # Errors
    ///
    /// As [`Analytics::run`].
    pub(super) async fn largest(
        &self,
        analytics: &Analytics,
        range: &TimeRange,
        dimension: &Dimension,
        measure: &Measure,
        count: u32,
    ) -> Result<BTreeMap<String, Totals>, QueryError> {
        let dimensions = self.dimensions(std::slice::from_ref(dimension));
        let limit = if dimensions.len() == 1 { count } else { Query::MAX_LIMIT };
        // By default, groups are ordered by the first measure.
        let query = self.query(range, &dimensions, std::slice::from_ref(measure)).limit(limit);
        let answer = analytics.run(&query, &Grant::everything()).await?;
        let mut largest: BTreeMap<String, Totals> = BTreeMap::new();
        for group in answer.groups.iter().filter(|group| self.covers(&dimensions, &group.values)) {
            let Some(value) = group.values.first().cloned().flatten().filter(|value| !value.is_empty()) else {
                continue;
            };
            let has_room = usize::try_from(count).is_ok_and(|count| largest.len() < count);
            if has_room || largest.contains_key(&value) {
                largest.entry(value).or_default().add(&group.cell.totals);
            }
        }
        Ok(largest)
    }

    /// Returns the sums of all requests.
    ///
    /// # Errors
    ///
    /// As [`sums`](Self::sums).
    pub(super) async fn total(
        &self,
        analytics: &Analytics,
        range: &TimeRange,
        measures: &[Measure],
    ) -> Result<Totals, QueryError> {
        let sums = self.sums(analytics, range, &[], measures).await?;
        Ok(sums.into_values().next().unwrap_or_default())
    }
}
