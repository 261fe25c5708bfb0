use serde_json::Value;

use crate::{
    analytics::{Filter, Grant, TimeRange},
    row::{Dimension, Field, Number},
};

use super::{
    api_error::ApiError,
    cents::{nanos_from, nanos_up_to},
    parameter::{FROM, TO},
    parameters::{MAX_VALUES, Parameters, check_text},
};

/// The largest size of the key of a tag, in bytes, as in stores.
const MAX_KEY_BYTES: usize = 1_024;

/// The states of a response cache in Portkey's API.
const CACHE_STATES: &[&str] = &["hit", "semantic hit", "miss", "refreshed", "disabled"];

/// The state of the response cache of every request: there is none.
pub(crate) const CACHE_STATE: &str = "disabled";

/// The requests that Portkey's common parameters select.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) range: TimeRange,
    pub(crate) filters: Vec<Filter>,
    /// The average of the weighted feedback on the trace of a request, in millionths.
    pub(crate) feedback: Option<(i64, i64)>,
}

impl Selection {
    /// Reads the common parameters. `zone` is the time zone if they do not name one.
    ///
    /// # Errors
    /// Returns an error that names the parameter if one is missing or invalid.
    pub(crate) fn read(parameters: &Parameters, grant: &Grant, zone: &str) -> Result<Self, ApiError> {
        let range = range(parameters, zone)?;
        Ok(Self { range, filters: filters(parameters, grant)?, feedback: feedback(parameters)? })
    }
}

fn range(parameters: &Parameters, zone: &str) -> Result<TimeRange, ApiError> {
    let time = |name: &str| {
        let text = parameters.get(name).ok_or_else(|| {
            ApiError::invalid(format!(
                "the parameter {name} is missing: expected ISO 8601 with an offset, such as 2026-06-01T00:00:00Z"
            ))
        })?;
        Ok::<_, ApiError>(with_plus(text))
    };
    let (from, to) = (time(FROM)?, time(TO)?);
    Ok(TimeRange::parse(&from, &to, parameters.get("time_zone").unwrap_or(zone))?)
}

/// Restores the plus sign of an offset that a client did not encode: `2026-06-01T00:00:00 02:00`.
pub(super) fn with_plus(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains(['T', 't']) => format!("{time}+{offset}"),
        _ => text.to_owned(),
    }
}

fn filters(parameters: &Parameters, grant: &Grant) -> Result<Vec<Filter>, ApiError> {
    let mut filters = Vec::new();
    // The grant of a workspace key decides.
    if grant.workspace().is_none() {
        filters.extend(one_of(parameters, "workspace_slug", Field::Workspace)?);
    }
    for (name, field) in [
        ("virtual_keys", Field::VirtualKey),
        ("api_key_ids", Field::ApiKey),
        ("span_id", Field::SpanId),
        ("ai_model", Field::Model),
    ] {
        filters.extend(one_of(parameters, name, field)?);
    }
    filters.extend(statuses(parameters)?);
    filters.extend(parameters.list("trace_id")?.map(Filter::Trace));
    filters.extend(models(parameters)?);
    filters.extend(tags(parameters)?);
    filters.extend(numbers(parameters)?);
    // There are no configs and prompts, so no request has one of these.
    for name in ["configs", "prompt_slug"] {
        filters.extend(parameters.list(name)?.map(|_| nothing()));
    }
    if let Some(states) = parameters.list("cache_status")? {
        if let Some(state) = states.iter().find(|state| !CACHE_STATES.contains(&state.as_str())) {
            let states = CACHE_STATES.join(", ");
            return Err(ApiError::invalid(format!("invalid cache_status {state:?}: expected one of {states}")));
        }
        filters.extend((!states.iter().any(|state| state == CACHE_STATE)).then(nothing));
    }
    Ok(filters)
}

/// Returns a condition that no request meets.
pub(crate) fn nothing() -> Filter {
    Filter::In(Field::Workspace.into(), Vec::new())
}

fn one_of(parameters: &Parameters, name: &str, field: Field) -> Result<Option<Filter>, ApiError> {
    Ok(parameters.list(name)?.map(|values| Filter::In(field.into(), values)))
}

fn statuses(parameters: &Parameters) -> Result<Option<Filter>, ApiError> {
    let Some(codes) = parameters.list("status_code")? else { return Ok(None) };
    let number = |code: &String| match code.parse::<u16>() {
        Ok(number @ 100..=999) => Ok(number.to_string()),
        _ => Err(ApiError::invalid(format!("invalid status_code {code:?}: expected a number from 100 to 999"))),
    };
    let codes = codes.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Filter::In(Field::Status.into(), codes)))
}

fn models(parameters: &Parameters) -> Result<Option<Filter>, ApiError> {
    let Some(pairs) = parameters.list("ai_org_model")? else { return Ok(None) };
    let pair = |text: &String| match text.split_once("__") {
        Some((provider, model)) if !provider.is_empty() && !model.is_empty() => {
            Ok((provider.to_owned(), model.to_owned()))
        }
        _ => Err(ApiError::invalid(format!(
            "invalid ai_org_model {text:?}: expected a provider and a model, such as openai__gpt-4o"
        ))),
    };
    let pairs = pairs.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Filter::ProviderModel(pairs)))
}

/// Reads the JSON object of tags that requests have.
fn tags(parameters: &Parameters) -> Result<Vec<Filter>, ApiError> {
    let Some(text) = parameters.get("metadata") else { return Ok(Vec::new()) };
    let invalid =
        || ApiError::invalid("invalid metadata: expected a JSON object of texts, such as {\"_user\":\"ada\"}");
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else { return Err(invalid()) };
    if members.len() > MAX_VALUES {
        return Err(ApiError::invalid(format!("metadata has more than {MAX_VALUES} members")));
    }
    let filter = |(key, value): (String, Value)| {
        let dimension = tag(&key)?;
        let values = match value {
            Value::Array(values) => values.iter().map(|value| tag_text(value).ok_or_else(invalid)).collect(),
            value => tag_text(&value).ok_or_else(invalid).map(|value| vec![value]),
        };
        let values: Vec<String> = values?;
        values.iter().try_for_each(|value| check_text(value))?;
        Ok(Filter::In(dimension, values))
    };
    members.into_iter().map(filter).collect()
}

/// Returns the dimension of a tag.
///
/// # Errors
/// Returns an error if no tag can have the key.
pub(crate) fn tag(key: &str) -> Result<Dimension, ApiError> {
    check_text(key)?;
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(ApiError::invalid(format!("invalid key of a tag: expected 1 to {MAX_KEY_BYTES} bytes")));
    }
    Ok(Dimension::tag(key))
}

/// Returns the text that a JSON value has as a tag.
pub(crate) fn tag_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn numbers(parameters: &Parameters) -> Result<Vec<Filter>, ApiError> {
    let mut filters = Vec::new();
    for (number, name) in [
        (Number::TotalTokens, "total_units"),
        (Number::InputTokens, "prompt_token"),
        (Number::OutputTokens, "completion_token"),
    ] {
        let (min, max) = (parameters.count(&format!("{name}_min"))?, parameters.count(&format!("{name}_max"))?);
        filters.extend(between(number, min, max));
    }
    let min = parameters.number("cost_min", 0.0, f64::INFINITY)?.map(nanos_from);
    let max = parameters.number("cost_max", 0.0, f64::INFINITY)?.map(nanos_up_to);
    filters.extend(between(Number::CostNanos, min, max));
    Ok(filters)
}

/// A minimum of 0 excludes nothing, not even unknown numbers.
fn between(number: Number, min: Option<u64>, max: Option<u64>) -> Option<Filter> {
    let min = min.filter(|min| *min > 0);
    (min.is_some() || max.is_some()).then_some(Filter::Between(number, min, max))
}

#[allow(clippy::cast_possible_truncation, reason = "the numbers are between -10 and 10")]
fn feedback(parameters: &Parameters) -> Result<Option<(i64, i64)>, ApiError> {
    let micros = |value: f64| (value * 1e6).round() as i64;
    let min = parameters.number("weighted_feedback_min", -10.0, 10.0)?.map(micros);
    let max = parameters.number("weighted_feedback_max", -10.0, 10.0)?.map(micros);
    Ok((min.is_some() || max.is_some()).then(|| (min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX))))
}
