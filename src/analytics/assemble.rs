use std::cmp::Ordering;

use jiff::Timestamp;

use crate::{row::Dimension, store::Totals};

use super::{
    Amount, Answer, Basis, Cell, FeedbackTotals, Grain, Grant, Group, Measure, Order, Query, QueryError,
    collect::{Collect, Collected, GroupKey},
};

/// Turns a query into the sums that it needs, and these sums into the answer.
pub(crate) struct Assembly<'q> {
    query: &'q Query,
    /// The starts of the buckets, and the end of the range.
    cuts: Vec<Timestamp>,
    filters: Vec<super::Filter>,
    /// The dimensions that measures need in addition to the groups.
    extras: Vec<Dimension>,
}

impl<'q> Assembly<'q> {
    /// Checks a query.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if a part of the query is invalid.
    pub(crate) fn new(query: &'q Query, grant: &Grant) -> Result<Self, QueryError> {
        if query.group_by.len() > Query::MAX_GROUP_BY {
            return Err(QueryError::invalid(format!(
                "a query has at most {} dimensions, found {}",
                Query::MAX_GROUP_BY,
                query.group_by.len()
            )));
        }
        if query.limit == 0 || query.limit > Query::MAX_LIMIT {
            return Err(QueryError::invalid(format!(
                "invalid limit {}: expected a number from 1 to {}",
                query.limit,
                Query::MAX_LIMIT
            )));
        }
        let mut cuts = match query.bucket {
            Some(bucket) => query.range.buckets(bucket)?,
            None => vec![query.range.from()],
        };
        cuts.push(query.range.to());
        let mut extras: Vec<Dimension> = query.measures.iter().filter_map(Measure::extra_dimension).collect();
        extras.sort_unstable();
        extras.dedup();
        let filters = query.filters.iter().chain(grant.filters()).cloned().collect();
        Ok(Self { query, cuts, filters, extras })
    }

    /// Returns the sums that the answer needs: by group, and by group and each further dimension.
    pub(crate) fn collects(&self) -> Vec<Collect> {
        let base = std::iter::once(self.query.group_by.clone());
        let extra = self.extras.iter().map(|extra| {
            let mut dimensions = self.query.group_by.clone();
            dimensions.push(extra.clone());
            dimensions
        });
        let collects = base.chain(extra).map(|dimensions| Collect {
            cuts: self.cuts.clone(),
            filters: self.filters.clone(),
            dimensions,
        });
        collects.collect()
    }

    /// Computes the answer from the sums, in the order of [`collects`](Self::collects).
    pub(crate) fn answer(
        &self,
        collected: Vec<Collected>,
        data_up_to: Option<Timestamp>,
    ) -> Result<Answer, QueryError> {
        let mut collected = collected.into_iter();
        let sums = collected.next().unwrap_or_default();
        let extras: Vec<Collected> = collected.collect();
        let mut groups: Vec<Group> = sums.groups.keys().map(|key| self.group(key, &sums, &extras)).collect();
        if self.query.group_by.is_empty() {
            groups.clear();
        }
        let order = self.order();
        groups.sort_by(|one, other| self.compare(&order, one, other));
        let group_count = groups.len() as u64;
        let (groups, next) = self.page(groups)?;
        let total = self.cell(None, None, &sums, &extras);
        let unpriced_share =
            self.value(&Measure::UnpricedShare, &total.totals, &FeedbackTotals::default(), None, None, &extras);
        Ok(Answer {
            group_by: self.query.group_by.iter().map(ToString::to_string).collect(),
            measures: self.query.measures.iter().map(ToString::to_string).collect(),
            buckets: if self.query.bucket.is_some() { self.starts().to_vec() } else { Vec::new() },
            series: self.series(None, &sums, &extras),
            basis: Basis {
                data_up_to,
                from: self.query.range.from(),
                to: self.query.range.to(),
                grain: Grain::Instant,
                is_exact: true,
                unpriced_share: unpriced_share.map(Amount::as_f64),
                rows_read: total.totals.requests,
                notes: Vec::new(),
            },
            total,
            groups,
            group_count,
            next,
        })
    }

    fn starts(&self) -> &[Timestamp] {
        self.cuts.split_last().map_or(&[], |(_, starts)| starts)
    }

    fn group(&self, key: &GroupKey, sums: &Collected, extras: &[Collected]) -> Group {
        Group {
            values: key.clone(),
            cell: self.cell(Some(key), None, sums, extras),
            series: self.series(Some(key), sums, extras),
        }
    }

    fn series(&self, key: Option<&GroupKey>, sums: &Collected, extras: &[Collected]) -> Vec<Cell> {
        match self.query.bucket {
            Some(_) => (0..self.starts().len()).map(|bucket| self.cell(key, Some(bucket), sums, extras)).collect(),
            None => Vec::new(),
        }
    }

    /// Computes the measures of a group, or of all groups, in one bucket or in all.
    fn cell(&self, key: Option<&GroupKey>, bucket: Option<usize>, sums: &Collected, extras: &[Collected]) -> Cell {
        let mut totals = Totals::default();
        for (_, found) in selected(sums, key) {
            for (at, more) in found {
                if bucket.is_none_or(|bucket| bucket == *at) {
                    totals.add(more);
                }
            }
        }
        let feedback = FeedbackTotals::default();
        let values =
            self.query.measures.iter().map(|measure| self.value(measure, &totals, &feedback, key, bucket, extras));
        Cell { values: values.collect(), totals, feedback }
    }

    #[allow(clippy::cast_precision_loss, reason = "averages and rates are not exact")]
    fn value(
        &self,
        measure: &Measure,
        totals: &Totals,
        feedback: &FeedbackTotals,
        key: Option<&GroupKey>,
        bucket: Option<usize>,
        extras: &[Collected],
    ) -> Option<Amount> {
        if let Some(extra) = measure.extra_dimension() {
            let at = self.extras.iter().position(|other| *other == extra)?;
            return extra_value(measure, totals, extras.get(at)?, key, bucket);
        }
        let nanos = |nanos: u64| Some(Amount::NanoUsd(i64::try_from(nanos).unwrap_or(i64::MAX)));
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let percent = |part: u64, whole: u64| ratio(part, whole).map(|share| Amount::Percent(share * 100.0));
        let average = |sum: u64, count: u64| ratio(sum, count).map(Amount::Number);
        let millis = |sum: u64, count: u64| ratio(sum, count).map(Amount::Millis);
        let latency = |q: f64| totals.latency_quantile(q).map(Amount::Millis);
        let first_token = |q: f64| totals.first_token_quantile(q).map(Amount::Millis);
        let time = |micros: u64| {
            let micros = i64::try_from(micros).ok().filter(|_| totals.requests > 0)?;
            Timestamp::from_microsecond(micros).ok().map(Amount::Time)
        };
        let tokens = totals.input_tokens.saturating_add(totals.output_tokens);
        match measure {
            Measure::Requests => Some(Amount::Count(totals.requests)),
            Measure::Errors => Some(Amount::Count(totals.errors)),
            Measure::ErrorRate => percent(totals.errors, totals.requests),
            Measure::SuccessRate => percent(totals.requests.saturating_sub(totals.errors), totals.requests),
            Measure::Cancelled => Some(Amount::Count(totals.cancelled)),
            Measure::LlmCalls => Some(Amount::Count(totals.llm_calls)),
            Measure::Cost => nanos(totals.cost_nanos),
            Measure::InputCost => nanos(totals.input_cost_nanos),
            Measure::OutputCost => nanos(totals.output_cost_nanos),
            Measure::OtherCost => nanos(
                totals.cost_nanos.saturating_sub(totals.input_cost_nanos.saturating_add(totals.output_cost_nanos)),
            ),
            Measure::AvgCost => {
                let known = totals.priced + totals.partially_priced;
                (known > 0).then(|| Amount::NanoUsd(i64::try_from(totals.cost_nanos / known).unwrap_or(i64::MAX)))
            }
            Measure::UnpricedRequests => Some(Amount::Count(totals.unpriced)),
            Measure::UnpricedShare => percent(totals.unpriced, totals.llm_calls),
            Measure::InputTokens => Some(Amount::Count(totals.input_tokens)),
            Measure::OutputTokens => Some(Amount::Count(totals.output_tokens)),
            Measure::TotalTokens => Some(Amount::Count(tokens)),
            Measure::CacheReadTokens => Some(Amount::Count(totals.cache_read_tokens)),
            Measure::CacheWriteTokens => Some(Amount::Count(totals.cache_write_tokens)),
            Measure::ReasoningTokens => Some(Amount::Count(totals.reasoning_tokens)),
            Measure::InputAudioTokens => Some(Amount::Count(totals.input_audio_tokens)),
            Measure::OutputAudioTokens => Some(Amount::Count(totals.output_audio_tokens)),
            Measure::AvgTokens => average(tokens, totals.with_usage),
            Measure::AvgInputTokens => average(totals.input_tokens, totals.with_usage),
            Measure::AvgOutputTokens => average(totals.output_tokens, totals.with_usage),
            Measure::AvgLatency => millis(totals.latency_ms, totals.requests),
            Measure::P50Latency => latency(0.5),
            Measure::P90Latency => latency(0.9),
            Measure::P95Latency => latency(0.95),
            Measure::P99Latency => latency(0.99),
            Measure::AvgFirstToken => millis(totals.first_token_ms, totals.first_tokens),
            Measure::P50FirstToken => first_token(0.5),
            Measure::P90FirstToken => first_token(0.9),
            Measure::P95FirstToken => first_token(0.95),
            Measure::P99FirstToken => first_token(0.99),
            Measure::CacheHits => Some(Amount::Count(totals.cache_hits)),
            Measure::CacheHitRate => percent(totals.cache_hits, totals.with_usage),
            Measure::CacheSavings => Some(Amount::NanoUsd(totals.cache_savings_nanos)),
            Measure::FirstSeen => time(totals.first_seen_micros),
            Measure::LastSeen => time(totals.last_seen_micros),
            Measure::FeedbackRequests => Some(Amount::Count(feedback.requests)),
            Measure::FeedbackScore => feedback.average().map(Amount::Number),
            Measure::Distinct(_) | Measure::Coverage(_) | Measure::CostCoverage(_) => None,
        }
    }

    fn order(&self) -> Order {
        let order = self.query.order.clone();
        order.unwrap_or_else(|| self.query.measures.first().cloned().map_or(Order::Values, Order::Descending))
    }

    fn compare(&self, order: &Order, one: &Group, other: &Group) -> Ordering {
        let by = |measure: &Measure, is_descending: bool| {
            let at = self.query.measures.iter().position(|listed| listed == measure);
            let value = |group: &Group| at.and_then(|at| group.cell.values.get(at).copied().flatten());
            match (value(one), value(other)) {
                (Some(one), Some(other)) => {
                    let ascending = compare_amounts(one, other);
                    if is_descending { ascending.reverse() } else { ascending }
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            }
        };
        let first = match order {
            Order::Descending(measure) => by(measure, true),
            Order::Ascending(measure) => by(measure, false),
            Order::Values => Ordering::Equal,
        };
        first.then_with(|| one.values.cmp(&other.values))
    }

    /// Returns the groups of the page, and the cursor of the next one: the values of the last group.
    fn page(&self, groups: Vec<Group>) -> Result<(Vec<Group>, Option<String>), QueryError> {
        let limit = usize::try_from(self.query.limit).unwrap_or(usize::MAX);
        let skip = match &self.query.cursor {
            None => 0,
            Some(cursor) => {
                let last: GroupKey = serde_json::from_str(cursor).map_err(|_| QueryError::invalid("invalid cursor"))?;
                groups.iter().position(|group| group.values == last).map_or(groups.len(), |at| at + 1)
            }
        };
        let has_more = groups.len() > skip + limit;
        let groups: Vec<Group> = groups.into_iter().skip(skip).take(limit).collect();
        let last = groups.last().filter(|_| has_more);
        let next = last.and_then(|group| serde_json::to_string(&group.values).ok());
        Ok((groups, next))
    }
}

fn selected<'c>(
    sums: &'c Collected,
    key: Option<&'c GroupKey>,
) -> impl Iterator<Item = (&'c GroupKey, &'c std::collections::BTreeMap<usize, Totals>)> {
    sums.groups.iter().filter(move |(other, _)| key.is_none_or(|key| other.starts_with(key)))
}

/// Computes a measure from sums by group and one further dimension.
#[allow(clippy::cast_precision_loss, reason = "rates are not exact")]
fn extra_value(
    measure: &Measure,
    totals: &Totals,
    extra: &Collected,
    key: Option<&GroupKey>,
    bucket: Option<usize>,
) -> Option<Amount> {
    let mut unset = Totals::default();
    let mut values = std::collections::BTreeSet::new();
    for (found, buckets) in selected(extra, key) {
        for (_, sums) in buckets.iter().filter(|(at, _)| bucket.is_none_or(|bucket| bucket == **at)) {
            match found.last() {
                Some(Some(value)) => _ = values.insert(value),
                _ => unset.add(sums),
            }
        }
    }
    let share = |unset: u64, whole: u64| {
        (whole > 0).then(|| Amount::Percent((whole.saturating_sub(unset)) as f64 / whole as f64 * 100.0))
    };
    match measure {
        Measure::Distinct(_) => Some(Amount::Count(values.len() as u64)),
        Measure::Coverage(_) => share(unset.requests, totals.requests),
        Measure::CostCoverage(_) => share(unset.cost_nanos, totals.cost_nanos),
        _ => None,
    }
}

fn compare_amounts(one: Amount, other: Amount) -> Ordering {
    match (one, other) {
        (Amount::Count(one), Amount::Count(other)) => one.cmp(&other),
        (Amount::NanoUsd(one), Amount::NanoUsd(other)) => one.cmp(&other),
        (one, other) => one.as_f64().total_cmp(&other.as_f64()),
    }
}
