use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    analytics::{Bucket, Filter, Measure, Order, Query, TimeRange},
    row::{Dimension, Number},
};

use super::{
    api_error::ApiError,
    names::{self, BucketName, ConditionName, DimensionName, MeasureName, OrderName},
    parameters::{MAX_VALUES, check_text},
    selection::{tag, tag_text},
};

/// The largest number of conditions, and of measures.
const MAX_PARTS: usize = 64;

/// A query as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with a query")]
pub(crate) struct QueryForm {
    range: RangeForm,
    /// Conditions that all requests meet.
    #[serde(default)]
    filters: Vec<FilterForm>,
    /// At most three dimensions: fields such as `model`, or tags such as `metadata.team`.
    #[serde(default)]
    #[schema(value_type = Vec<DimensionName>)]
    group_by: Vec<String>,
    /// `minute`, `quarter_hour`, `hour`, `day`, `week`, `month`, or `auto`. Without it, the answer has no series.
    #[schema(value_type = Option<BucketName>, example = "day")]
    bucket: Option<Bucket>,
    /// Such as `cost`, `requests`, or `distinct(metadata._user)`. The default is `requests`.
    #[serde(default)]
    #[schema(value_type = Vec<MeasureName>)]
    measures: Vec<String>,
    order: Option<OrderForm>,
    /// The maximum number of groups, from 1 to 1,000. The default is 50 in JSON, and all groups in CSV.
    limit: Option<u32>,
    /// The `next` of the previous answer.
    cursor: Option<String>,
}

/// The time of requests.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with from and to")]
pub(crate) struct RangeForm {
    /// The first instant, as ISO 8601 with an offset.
    #[schema(example = "2026-06-01T00:00:00Z")]
    from: String,
    /// The instant after the last one.
    #[schema(example = "2026-07-01T00:00:00Z")]
    to: String,
    /// The IANA time zone of days, weeks, and months. The default is that of the server, which is `UTC` unless configured.
    #[schema(example = "Europe/Berlin")]
    zone: Option<String>,
}

/// A condition.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with on, op, and value")]
pub(crate) struct FilterForm {
    /// A dimension such as `model` or `metadata.team`, `trace` for either trace id, or a number such as `total_tokens`.
    #[schema(value_type = ConditionName)]
    on: String,
    op: Operator,
    /// A text for `is`, `is_not`, and `prefix`; a list of texts for `in` and `not_in`; `[min, max]` for `between`, where
    /// `null` is no bound. None for `has` and `has_not`.
    #[schema(value_type = Option<Value>)]
    value: Option<Value>,
}

/// The comparison of a condition.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    Is,
    IsNot,
    In,
    NotIn,
    Has,
    HasNot,
    Prefix,
    Between,
}

/// The order of groups.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with by and descending")]
pub(crate) struct OrderForm {
    /// One of the measures, or `values` for the values of the groups.
    #[schema(value_type = OrderName)]
    by: String,
    /// The default is `true`, except for `values`, which are ascending.
    descending: Option<bool>,
}

impl QueryForm {
    /// Returns `true` if the query limits the number of groups.
    pub(crate) fn has_limit(&self) -> bool {
        self.limit.is_some()
    }

    /// Returns the query. `zone` is the time zone if the range does not name one.
    ///
    /// # Errors
    /// Returns an error that names the part that is not valid.
    pub(crate) fn into_query(self, zone: &str) -> Result<Query, ApiError> {
        let range = TimeRange::parse(&self.range.from, &self.range.to, self.range.zone.as_deref().unwrap_or(zone))?;
        let mut query = Query::new(range);
        if self.filters.len() > MAX_PARTS || self.measures.len() > MAX_PARTS {
            return Err(ApiError::invalid(format!("a query has at most {MAX_PARTS} filters and {MAX_PARTS} measures")));
        }
        for filter in self.filters {
            query = query.filter(filter.into_filter()?);
        }
        for name in self.group_by {
            query = query.group_by(dimension(&name)?);
        }
        for name in self.measures {
            query = query.measure(measure(&name)?);
        }
        if query.measures.is_empty() {
            query = query.measure(Measure::Requests);
        }
        if let Some(order) = self.order {
            query = query.clone().order(order.into_order(&query)?);
        }
        query.bucket = self.bucket;
        query.limit = self.limit.unwrap_or(Query::DEFAULT_LIMIT);
        query.cursor = self.cursor;
        Ok(query)
    }
}

/// Returns the dimension with a name.
fn dimension(name: &str) -> Result<Dimension, ApiError> {
    match Dimension::from_name(name) {
        Some(Dimension::Tag(key)) => tag(&key),
        Some(dimension) => Ok(dimension),
        None => Err(ApiError::invalid(format!(
            "unknown dimension {name:?}: expected a tag such as metadata.team, or one of {}",
            names::fields().collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn measure(name: &str) -> Result<Measure, ApiError> {
    let measure = Measure::from_name(name).ok_or_else(|| {
        let measures = names::measures().chain(names::FUNCTIONS.iter().map(|(name, _)| (*name).to_owned()));
        let measures: Vec<String> = measures.collect();
        ApiError::invalid(format!("unknown measure {name:?}: expected one of {}", measures.join(", ")))
    })?;
    match &measure {
        Measure::Distinct(Dimension::Tag(key)) | Measure::Coverage(key) | Measure::CostCoverage(key) => _ = tag(key)?,
        _ => {}
    }
    Ok(measure)
}

impl OrderForm {
    fn into_order(self, query: &Query) -> Result<Order, ApiError> {
        if self.by == "values" {
            return match self.descending {
                Some(true) => Err(ApiError::invalid("invalid order: groups are ordered by values in ascending order")),
                _ => Ok(Order::Values),
            };
        }
        let measure = measure(&self.by)?;
        if !query.measures.contains(&measure) {
            return Err(ApiError::invalid(format!("invalid order: {} is not one of the measures", self.by)));
        }
        let is_descending = self.descending.unwrap_or(true);
        Ok(if is_descending { Order::Descending(measure) } else { Order::Ascending(measure) })
    }
}

impl FilterForm {
    fn into_filter(self) -> Result<Filter, ApiError> {
        let Self { on, op, value } = self;
        if op == Operator::Between {
            return between(&on, value.as_ref());
        }
        if on == "trace" {
            return match op {
                Operator::Is => Ok(Filter::Trace(vec![text(&on, value.as_ref())?])),
                Operator::In => Ok(Filter::Trace(texts(&on, value.as_ref())?)),
                _ => Err(ApiError::invalid("invalid filter on trace: expected the op `is` or `in`")),
            };
        }
        let dimension = dimension(&on)?;
        match op {
            Operator::Is => Ok(Filter::In(dimension, vec![text(&on, value.as_ref())?])),
            Operator::IsNot => Ok(Filter::NotIn(dimension, vec![text(&on, value.as_ref())?])),
            Operator::In => Ok(Filter::In(dimension, texts(&on, value.as_ref())?)),
            Operator::NotIn => Ok(Filter::NotIn(dimension, texts(&on, value.as_ref())?)),
            Operator::Prefix => Ok(Filter::Prefix(dimension, text(&on, value.as_ref())?)),
            Operator::Has | Operator::HasNot if value.is_some() => {
                Err(ApiError::invalid(format!("invalid filter on {on}: `has` and `has_not` have no value")))
            }
            Operator::Has => Ok(Filter::Has(dimension)),
            Operator::HasNot | Operator::Between => Ok(Filter::HasNot(dimension)),
        }
    }
}

fn text(on: &str, value: Option<&Value>) -> Result<String, ApiError> {
    let text = value.and_then(tag_text);
    let text =
        text.ok_or_else(|| ApiError::invalid(format!("invalid filter on {on}: expected a text as the value")))?;
    check_text(&text)?;
    Ok(text)
}

fn texts(on: &str, value: Option<&Value>) -> Result<Vec<String>, ApiError> {
    let values = value.and_then(Value::as_array).filter(|values| values.len() <= MAX_VALUES);
    let values = values.ok_or_else(|| {
        ApiError::invalid(format!("invalid filter on {on}: expected a list of at most {MAX_VALUES} texts as the value"))
    })?;
    values.iter().map(|value| text(on, Some(value))).collect()
}

fn between(on: &str, value: Option<&Value>) -> Result<Filter, ApiError> {
    let number = Number::from_name(on).ok_or_else(|| {
        let names: Vec<&str> = Number::ALL.iter().map(|number| number.as_str()).collect();
        ApiError::invalid(format!("cannot compare {on:?} with numbers: expected one of {}", names.join(", ")))
    })?;
    let invalid = || {
        ApiError::invalid(format!("invalid filter on {on}: expected [min, max] of whole numbers or null as the value"))
    };
    let Some([min, max]) = value.and_then(Value::as_array).map(Vec::as_slice) else { return Err(invalid()) };
    let bound = |value: &Value| match value {
        Value::Null => Ok(None),
        value => value.as_u64().map(Some).ok_or_else(invalid),
    };
    Ok(Filter::Between(number, bound(min)?, bound(max)?))
}
