use crate::{
    analytics::{Amount, Analytics, Grant, Measure, Query, QueryError, RowQuery},
    registry::Permission,
    row::{Dimension, Filter},
};

/// Returns the keys that have their own columns if an export chooses none: the active keys that the caller may know of.
///
/// The names of other keys would reveal the tags of other tenants.
pub(super) async fn default_keys(
    analytics: &Analytics,
    query: &RowQuery,
    grant: &Grant,
) -> Result<Vec<String>, QueryError> {
    let active = analytics.keys().await?.into_iter().filter(|key| key.is_active).map(|key| key.name);
    let active: Vec<String> = active.collect();
    if grant.covers_everything() || active.is_empty() {
        return Ok(active);
    }
    let used = match used_at_once(analytics, query, grant, &active).await {
        // A key with very many values, which need not be distinguished.
        Err(QueryError::TooLarge(_)) => used_one_by_one(analytics, query, grant, &active).await?,
        used => used?,
    };
    let is_known = |(key, is_used): &(String, bool)| *is_used || is_required(grant, key);
    Ok(active.into_iter().zip(used).filter(is_known).map(|(key, _)| key).collect())
}

/// Returns `true` for each key that requests of the grant have.
async fn used_at_once(
    analytics: &Analytics,
    query: &RowQuery,
    grant: &Grant,
    keys: &[String],
) -> Result<Vec<bool>, QueryError> {
    let values = keys.iter().map(|key| Measure::Distinct(Dimension::tag(key)));
    let query = values.fold(Query::new(query.range.clone()), Query::measure);
    let answer = analytics.run_with(Permission::LogsExport, &query, grant).await?;
    Ok(answer.total.values.iter().map(|values| matches!(values, Some(Amount::Count(1..)))).collect())
}

async fn used_one_by_one(
    analytics: &Analytics,
    query: &RowQuery,
    grant: &Grant,
    keys: &[String],
) -> Result<Vec<bool>, QueryError> {
    let mut used = Vec::new();
    for key in keys {
        let query = Query::new(query.range.clone()).filter(Filter::Has(Dimension::tag(key))).measure(Measure::Requests);
        let answer = analytics.run_with(Permission::LogsExport, &query, grant).await?;
        used.push(answer.total.totals.requests > 0);
    }
    Ok(used)
}

/// Returns `true` if all requests of the grant have the key.
fn is_required(grant: &Grant, key: &str) -> bool {
    let tag = Dimension::tag(key);
    grant.filters().iter().any(|filter| match filter {
        Filter::In(dimension, _) | Filter::Has(dimension) | Filter::Prefix(dimension, _) => *dimension == tag,
        _ => false,
    })
}
