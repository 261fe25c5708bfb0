use percent_encoding::percent_decode_str;

use super::{
    api_error::ApiError,
    parameter::{Accepted, find, names},
};

/// Maximum number of parameters of a request.
const MAX_PARAMETERS: usize = 100;
/// Maximum number of values of a list.
pub(super) const MAX_VALUES: usize = 1_000;

/// The parameters of a query string, which are text until they are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    pairs: Vec<(&'static str, String)>,
}

impl Parameters {
    /// Reads a query string. Parameters without a value are ignored, as if they were missing.
    ///
    /// # Errors
    /// Returns an error if a parameter is not accepted, is repeated, or has a value that is not valid. A filter that is
    /// silently ignored would return wrong numbers.
    pub(crate) fn parse(query: &str, accepted: Accepted) -> Result<Self, ApiError> {
        let mut parameters = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let Some(parameter) = find(accepted, &name) else { return Err(unknown(&name, accepted)) };
            let name = parameter.name;
            if parameters.get(name).is_some() {
                return Err(ApiError::invalid(format!("the parameter {name} is repeated")));
            }
            if parameters.pairs.len() >= MAX_PARAMETERS {
                return Err(ApiError::invalid(format!("more than {MAX_PARAMETERS} parameters")));
            }
            if !value.is_empty() {
                parameters.push(name, value);
            }
        }
        Ok(parameters)
    }

    /// Adds a parameter from another place than the query string.
    pub(crate) fn push(&mut self, name: &'static str, value: String) {
        self.pairs.push((name, value));
    }

    /// Returns the value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    /// Returns the values of a comma-separated list. `None` if there is no value.
    ///
    /// # Errors
    /// Returns an error if the list is too long.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let values = text.split(',').map(str::trim).filter(|value| !value.is_empty());
        let values: Vec<String> = values.take(MAX_VALUES + 1).map(str::to_owned).collect();
        if values.len() > MAX_VALUES {
            return Err(ApiError::invalid(format!("{name} has more than {MAX_VALUES} values")));
        }
        Ok(Some(values).filter(|values| !values.is_empty()))
    }

    /// Returns a whole number.
    ///
    /// # Errors
    /// Returns an error if the value is not a whole number of at least 0.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let read = |text: &str| {
            text.trim().parse::<u64>().map_err(|_| {
                ApiError::invalid(format!("invalid {name} {text:?}: expected a whole number of at least 0"))
            })
        };
        self.get(name).map(read).transpose()
    }

    /// Returns a number within a range.
    ///
    /// # Errors
    /// Returns an error if the value is not a number, or not within the range.
    pub(crate) fn number(&self, name: &str, min: f64, max: f64) -> Result<Option<f64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.trim().parse::<f64>().ok().filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| {
            let expected = if max.is_finite() { format!("from {min} to {max}") } else { format!("of at least {min}") };
            ApiError::invalid(format!("invalid {name} {text:?}: expected a number {expected}"))
        })
    }

    /// Returns one of a few words.
    ///
    /// # Errors
    /// Returns an error if the value is another word.
    pub(crate) fn word(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let word = words.iter().find(|word| **word == text);
        word.map(|word| Some(*word))
            .ok_or_else(|| ApiError::invalid(format!("invalid {name} {text:?}: expected one of {}", words.join(", "))))
    }
}

fn unknown(name: &str, accepted: Accepted) -> ApiError {
    ApiError::invalid(match names(accepted) {
        names if names.is_empty() => format!("unknown parameter {name:?}: this endpoint has no parameters"),
        names => format!("unknown parameter {name:?}: expected some of {names}"),
    })
}

/// Decodes a part of a query string (`application/x-www-form-urlencoded`).
fn decoded(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| ApiError::invalid("the query string is not valid UTF-8"))?;
    check_text(&decoded)?;
    Ok(decoded.into_owned())
}

/// Rejects NUL, which no store holds.
pub(super) fn check_text(text: &str) -> Result<(), ApiError> {
    if text.contains('\0') { Err(ApiError::invalid("a value contains NUL")) } else { Ok(()) }
}
