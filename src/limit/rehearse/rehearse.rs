use std::sync::Arc;

use crate::{
    analytics::{Analytics, Grant, QueryError, RowPages, RowQuery, TimeRange},
    registry::Permission,
};

use super::{super::rules::LimitRule, rehearsal::Rehearsal, simulation::Simulation};

/// The number of requests that are read at a time.
const PAGE_ROWS: u32 = 1_000;

/// Runs rules over the stored requests of a range that a grant covers. See the [module](super) for an example.
///
/// # Errors
///
/// Returns [`QueryError::Invalid`] if two rules have the same name, [`QueryError::Forbidden`] if the grant does not include
/// [`Permission::AnalyticsView`], and [`QueryError::Store`] if the store fails.
pub async fn rehearse(
    analytics: &Analytics,
    rules: impl IntoIterator<Item = impl Into<Arc<LimitRule>>>,
    range: &TimeRange,
    grant: &Grant,
) -> Result<Rehearsal, QueryError> {
    let mut simulation = Simulation::new(rules.into_iter().map(Into::into).collect(), range)?;
    let query = RowQuery::new(range.clone());
    let mut pages = RowPages::new(analytics, &query, grant, Permission::AnalyticsView).page_size(PAGE_ROWS);
    while let Some(rows) = pages.next().await? {
        rows.iter().for_each(|row| simulation.add(row));
    }
    Ok(simulation.finish())
}
