use std::collections::BTreeSet;

use tower_tagging::{
    analytics::{Analytics, Filter, Query},
    store::{Dimension, Field},
};

use crate::{failure::Failure, format};

/// Returns the dimension with a name: a field such as `model`, or the key of a tag, with or without `metadata.` in front.
pub(crate) fn dimension(name: &str) -> Result<Dimension, Failure> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Failure::Usage("a key is empty: expected a field such as model, or the key of a tag".to_owned()));
    }
    Ok(Dimension::from_name(name).unwrap_or_else(|| Dimension::tag(name)))
}

/// Warns of tags of a query that no request has. They are usually misspelled.
pub(crate) async fn warn_of_unknown_tags(analytics: &Analytics, query: &Query) -> Result<(), Failure> {
    let filtered = query.filters.iter().filter_map(|filter| match filter {
        Filter::In(on, _) | Filter::NotIn(on, _) | Filter::Has(on) | Filter::HasNot(on) | Filter::Prefix(on, _) => {
            Some(on)
        }
        _ => None,
    });
    let tags = query.group_by.iter().chain(filtered).filter_map(|dimension| match dimension {
        Dimension::Tag(key) => Some(&**key),
        _ => None,
    });
    let tags: BTreeSet<&str> = tags.collect();
    if tags.is_empty() {
        return Ok(());
    }
    let known = analytics.keys().await?;
    for tag in tags.into_iter().filter(|tag| !known.iter().any(|key| key.name == *tag && key.requests > 0)) {
        eprintln!("tagging: no request has the tag {:?}", format::cut(tag, 80));
    }
    Ok(())
}

/// Reads a condition.
pub(crate) fn parse(text: &str) -> Result<Filter, Failure> {
    if let Some((key, value)) = text.split_once('=') {
        let (key, condition): (&str, fn(Dimension, String) -> Filter) =
            match (key.strip_suffix('!'), key.strip_suffix('^')) {
                (Some(key), _) => (key, |on, value| Filter::is_not(on, value)),
                (_, Some(key)) => (key, Filter::Prefix),
                _ => (key, |on, value| Filter::is(on, value)),
            };
        return Ok(condition(known(key)?, value.to_owned()));
    }
    match text.strip_prefix('!') {
        Some(key) => Ok(Filter::HasNot(known(key)?)),
        None => Ok(Filter::Has(known(text)?)),
    }
}

/// Returns the dimension of a condition.
fn known(key: &str) -> Result<Dimension, Failure> {
    dimension(key).map_err(|failure| {
        let fields: Vec<&str> = Field::ALL.iter().map(|field| field.as_str()).collect();
        Failure::Usage(format!("{failure}; the fields are {}", fields.join(", ")))
    })
}
