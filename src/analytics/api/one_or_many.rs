//! Bodies that are one thing, or a list of them.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{api_error::ApiError, json_problem::json_problem};

/// Reads one thing or a list.
///
/// # Errors
/// Returns an error if the list is empty or longer than `max`, and if one of them is not valid.
pub(super) fn read<T: DeserializeOwned>(body: Value, name: &str, max: usize) -> Result<Vec<T>, ApiError> {
    let list = match body {
        Value::Array(list) => list,
        one => vec![one],
    };
    if list.is_empty() || list.len() > max {
        return Err(ApiError::invalid(format!("expected 1 to {max} entries of {name}, found {}", list.len())));
    }
    let entry = |(at, value): (usize, Value)| {
        let problem = |error| ApiError::invalid(format!("invalid {name} [{at}]: {}", json_problem(&error)));
        serde_json::from_value(value).map_err(problem)
    };
    list.into_iter().enumerate().map(entry).collect()
}
