//! Conditions of queries as SQL, for both databases.

use std::fmt::Write as _;

use crate::row::{Dimension, Field, Filter, Number};

use super::rollup::RowRead;

/// A value that is bound to a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Param {
    Text(String),
    /// A list of texts. SQLite reads it as JSON.
    Texts(Vec<String>),
    BigInt(i64),
    /// Microseconds since 1970.
    Time(u64),
    Id(uuid::Uuid),
}

/// The differences between the databases.
pub(super) trait Dialect {
    /// Returns the placeholder of a parameter, counted from 1, with its type.
    fn placeholder(&self, number: usize, param: &Param) -> String;

    /// Returns a condition that `expression` is in the list at a placeholder.
    fn is_in(&self, expression: &str, list: &str) -> String;

    /// Returns a condition that `expression` starts with the text at a placeholder.
    fn starts_with(&self, expression: &str, prefix: &str) -> String;

    /// Returns the expression for the value of a tag. The key is bound, or validated and quoted.
    fn tag(&self, key: &str, bind: &mut dyn FnMut(Param) -> String) -> String;

    /// Returns a condition that a tag of an active key has one of the values, if there is an index for it.
    fn indexed_tag(&self, key: &str, values: &[String], bind: &mut dyn FnMut(Param) -> String) -> Option<String>;
}

/// A `WHERE` clause, and the values that are bound to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    sql: String,
    pub(super) params: Vec<Param>,
}

impl Conditions {
    /// Returns the conditions of rows to read.
    pub(super) fn of_rows(dialect: &dyn Dialect, read: &RowRead) -> Self {
        let mut conditions = Self::of_range(dialect, read);
        for filter in &read.filters {
            conditions.filter(dialect, filter);
        }
        if let Some((micros, id)) = read.after {
            let operator = if read.is_newest_first { "<" } else { ">" };
            let time = conditions.bind(dialect, Param::Time(micros));
            let id = conditions.bind(dialect, Param::Id(id));
            conditions.and(&format!("(requested_at, id) {operator} ({time}, {id})"));
        }
        conditions
    }

    fn of_range(dialect: &dyn Dialect, read: &RowRead) -> Self {
        let mut conditions = Self::default();
        for (operator, micros) in [(">=", read.from), ("<", read.to)] {
            let time = conditions.bind(dialect, Param::Time(micros));
            conditions.and(&format!("requested_at {operator} {time}"));
        }
        conditions
    }

    /// Returns the conditions of the range and of the tags that have an index. `None` without such tags.
    #[cfg(feature = "postgres")]
    pub(super) fn of_indexed_tags(dialect: &dyn Dialect, read: &RowRead) -> Option<Self> {
        let mut conditions = Self::of_range(dialect, read);
        let params_of_range = conditions.params.len();
        for filter in &read.filters {
            let Filter::In(Dimension::Tag(key), values) = filter else { continue };
            let params = &mut conditions.params;
            if let Some(condition) = dialect.indexed_tag(key, values, &mut |param| bind(params, dialect, param)) {
                conditions.and(&condition);
            }
        }
        (conditions.params.len() > params_of_range).then_some(conditions)
    }

    /// Returns the clause, with the keyword. Empty without conditions.
    pub(super) fn clause(&self) -> String {
        if self.sql.is_empty() { String::new() } else { format!("WHERE {}", self.sql) }
    }

    /// Binds a value, and returns its placeholder.
    pub(super) fn bind(&mut self, dialect: &dyn Dialect, param: Param) -> String {
        bind(&mut self.params, dialect, param)
    }

    /// Adds a condition.
    pub(super) fn and(&mut self, condition: &str) {
        let separator = if self.sql.is_empty() { "" } else { " AND " };
        let _ = write!(self.sql, "{separator}({condition})");
    }

    /// Adds a filter. Rows that the clause selects are filtered once more in code, so it may select too many.
    pub(super) fn filter(&mut self, dialect: &dyn Dialect, filter: &Filter) {
        let params = &mut self.params;
        let condition = match filter {
            Filter::In(Dimension::Tag(key), values) => {
                let indexed = dialect.indexed_tag(key, values, &mut |param| bind(params, dialect, param));
                Some(indexed.unwrap_or_else(|| is_in(params, dialect, &Dimension::tag(key), values)))
            }
            Filter::In(dimension, values) => Some(is_in(params, dialect, dimension, values)),
            Filter::NotIn(dimension, values) => {
                let value = expression(params, dialect, dimension);
                Some(format!("{value} IS NULL OR NOT ({})", is_in(params, dialect, dimension, values)))
            }
            Filter::Has(dimension) => Some(format!("{} IS NOT NULL", expression(params, dialect, dimension))),
            Filter::HasNot(dimension) => Some(format!("{} IS NULL", expression(params, dialect, dimension))),
            Filter::Prefix(dimension, prefix) => {
                let value = expression(params, dialect, dimension);
                let prefix = bind(params, dialect, Param::Text(prefix.clone()));
                Some(dialect.starts_with(&value, &prefix))
            }
            Filter::Between(number, min, max) => {
                let value = number_sql(*number);
                let mut bound = |operator: &str, limit: &Option<u64>| {
                    let limit = (*limit)?;
                    let limit = bind(params, dialect, Param::BigInt(i64::try_from(limit).unwrap_or(i64::MAX)));
                    Some(format!("{value} {operator} {limit}"))
                };
                let bounds: Vec<String> = [bound(">=", min), bound("<=", max)].into_iter().flatten().collect();
                let known = format!("{value} IS NOT NULL");
                Some(std::iter::once(known).chain(bounds).collect::<Vec<_>>().join(" AND "))
            }
            Filter::ProviderModel(pairs) => {
                let mut equal = |column: &str, value: &String| {
                    format!("{column} = {}", bind(params, dialect, Param::Text(value.clone())))
                };
                let pairs = pairs.iter().map(|(provider, model)| {
                    format!("({} AND {})", equal("provider", provider), equal("model", model))
                });
                let pairs: Vec<String> = pairs.collect();
                // An empty list selects nothing, which the code finds as well.
                (!pairs.is_empty()).then(|| pairs.join(" OR "))
            }
            Filter::Trace(ids) => Some(has_trace(params, dialect, ids.clone())),
            Filter::WorkspaceTrace(pairs) => {
                Some(has_trace(params, dialect, pairs.iter().map(|(_, id)| id.clone()).collect()))
            }
        };
        if let Some(condition) = condition {
            self.and(&condition);
        }
    }
}

fn bind(params: &mut Vec<Param>, dialect: &dyn Dialect, param: Param) -> String {
    let placeholder = dialect.placeholder(params.len() + 1, &param);
    params.push(param);
    placeholder
}

fn has_trace(params: &mut Vec<Param>, dialect: &dyn Dialect, ids: Vec<String>) -> String {
    let list = bind(params, dialect, Param::Texts(ids));
    let [one, other] = ["trace_id", "client_trace_id"].map(|column| dialect.is_in(column, &list));
    format!("{one} OR {other}")
}

fn is_in(params: &mut Vec<Param>, dialect: &dyn Dialect, dimension: &Dimension, values: &[String]) -> String {
    let value = expression(params, dialect, dimension);
    match values {
        [one] => format!("{value} = {}", bind(params, dialect, Param::Text(one.clone()))),
        many => dialect.is_in(&value, &bind(params, dialect, Param::Texts(many.to_vec()))),
    }
}

fn expression(params: &mut Vec<Param>, dialect: &dyn Dialect, dimension: &Dimension) -> String {
    match dimension {
        Dimension::Tag(key) => dialect.tag(key, &mut |param| bind(params, dialect, param)),
        Dimension::Field(field) => field_sql(*field).to_owned(),
    }
}

/// Returns the expression for the text of a field, in both databases.
const fn field_sql(field: Field) -> &'static str {
    match field {
        Field::Provider => "provider",
        Field::Model => "model",
        Field::RequestModel => "request_model",
        Field::Operation => "operation",
        Field::ServiceTier => "service_tier",
        Field::Method => "request_method",
        Field::Path => "request_path",
        Field::Route => "route",
        Field::Host => "host",
        Field::Status => "CAST(status_code AS TEXT)",
        Field::StatusClass => "CAST(status_code / 100 AS TEXT) || 'xx'",
        Field::Outcome => "outcome",
        Field::IsError => "CASE WHEN is_error THEN 'true' ELSE 'false' END",
        Field::Rejection => "rejection",
        Field::LimitRule => "limit_rule",
        Field::ApiKey => "api_key",
        Field::Workspace => "workspace",
        Field::VirtualKey => "virtual_key",
        Field::CostStatus => "cost_status",
        Field::UsageStatus => "usage_status",
        Field::TraceId => "trace_id",
        Field::ClientTraceId => "client_trace_id",
        Field::SpanId => "span_id",
        Field::SpanName => "span_name",
        Field::SpanPath => "span_path",
    }
}

const fn number_sql(number: Number) -> &'static str {
    match number {
        Number::CostNanos => "total_cost_nanos",
        Number::TotalTokens => "coalesce(CAST(input_tokens AS numeric) + output_tokens, input_tokens, output_tokens)",
        Number::InputTokens => "input_tokens",
        Number::OutputTokens => "output_tokens",
        Number::LatencyMs => "response_time_ms",
        Number::Status => "status_code",
    }
}
