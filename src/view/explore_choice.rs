use crate::analytics::{Bucket, Dimension, Field, Measure};

use super::{UrlQuery, short_name};

/// What the page that explores shows, in addition to its view.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExploreChoice {
    pub(crate) measure: Measure,
    pub(crate) group: Option<Dimension>,
    pub(crate) subgroup: Option<Dimension>,
    pub(crate) limit: u32,
    /// `None` shows a ranking without a chart over time.
    pub(crate) bucket: Option<Bucket>,
    pub(crate) is_cumulative: bool,
}

impl ExploreChoice {
    /// The value of parameters that stands for nothing.
    pub(crate) const NONE: &'static str = "none";
    pub(crate) const DEFAULT_GROUP: Field = Field::Model;
    pub(crate) const DEFAULT_LIMIT: u32 = 8;

    /// Returns the parameters that are not the default.
    pub(crate) fn query_string(&self) -> UrlQuery {
        let mut query = UrlQuery::default();
        if self.measure != Measure::Cost {
            query.push("m", self.measure.to_string());
        }
        match &self.group {
            None => query.push("g", Self::NONE),
            Some(group) if *group != Self::DEFAULT_GROUP.into() => query.push("g", short_name(group)),
            Some(_) => {}
        }
        if let Some(subgroup) = &self.subgroup {
            query.push("s", short_name(subgroup));
        }
        if self.limit != Self::DEFAULT_LIMIT {
            query.push("n", self.limit.to_string());
        }
        match self.bucket {
            None => query.push("b", Self::NONE),
            Some(Bucket::Auto) => {}
            Some(bucket) => query.push("b", bucket.as_str()),
        }
        if self.is_cumulative {
            query.push("c", "1");
        }
        query
    }
}
