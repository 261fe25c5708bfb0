use std::cmp::Ordering;

use crate::{
    analytics::{Amount, Answer, Dimension, Grant, KeyInfo, Measure, Query},
    registry::Permission,
};

use super::{page_error::PageError, state::DashboardState, view::View};

/// The largest number of keys whose use is looked up for viewers who do not see everything.
const MAX_KEYS: usize = 30;

/// A key of tags that the caller may know of.
#[derive(Clone, Debug)]
pub(crate) struct VisibleKey {
    pub(crate) name: String,
    pub(crate) is_active: bool,
    /// The number of values in the requests of the caller.
    pub(crate) distinct_values: u64,
    /// The use of the key in the requests of the caller. It only compares keys with each other.
    weight: f64,
}

impl VisibleKey {
    /// Returns the keys that the caller may know of: all of them, or those of its own requests in the range of the view.
    pub(crate) async fn read(state: &DashboardState, grant: &Grant, view: &View) -> Result<Vec<Self>, PageError> {
        let keys = state.keys().await?;
        if grant.filters().is_empty() {
            return Ok(keys.into_iter().map(Self::of_all).collect());
        }
        if !grant.allows(Permission::AnalyticsView) {
            return Ok(Vec::new());
        }
        let names: Vec<String> =
            keys.into_iter().filter(|key| key.is_active).map(|key| key.name).take(MAX_KEYS).collect();
        let measures = names
            .iter()
            .flat_map(|name| [Measure::Distinct(Dimension::tag(name.clone())), Measure::Coverage(name.clone())]);
        let query = measures.fold(Query::new(view.time_range()?), Query::measure);
        let answer = state.run(&query, grant).await?;
        let own = names.into_iter().enumerate().map(|(at, name)| Self::of_own_requests(name, &answer, at));
        Ok(own.filter(|key| key.distinct_values > 0).collect())
    }

    /// Compares the use of two keys.
    pub(crate) fn by_use(&self, other: &Self) -> Ordering {
        self.weight.total_cmp(&other.weight)
    }

    /// Returns `true` if a request has the key.
    pub(crate) fn is_used(&self) -> bool {
        self.weight > 0.0
    }

    #[allow(clippy::cast_precision_loss, reason = "the counts are only compared")]
    fn of_all(key: KeyInfo) -> Self {
        Self {
            name: key.name,
            is_active: key.is_active,
            distinct_values: key.distinct_values,
            weight: key.requests as f64,
        }
    }

    /// Reads the key at a place of the question.
    fn of_own_requests(name: String, answer: &Answer, at: usize) -> Self {
        let value = |offset: usize| answer.total.values.get(at * 2 + offset).copied().flatten();
        let distinct_values = match value(0) {
            Some(Amount::Count(count)) => count,
            _ => 0,
        };
        Self { name, is_active: true, distinct_values, weight: value(1).map_or(0.0, Amount::as_f64) }
    }
}
