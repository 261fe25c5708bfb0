use serde_json::{Map, Value};

use crate::{
    analytics::{
        TimeRange,
        api::{Accepted, FROM, TO, find, names},
        jiff::{Timestamp, tz::TimeZone},
    },
    view::{RangeChoice, UrlQuery},
};

use super::{range_words::read_range, tool_error::ToolError};

/// The argument with the time zone of days.
pub(crate) const ZONE: &str = "time_zone";

/// The arguments of a call.
#[derive(Clone)]
pub(crate) struct Arguments {
    /// The parameters of the endpoint.
    accepted: Accepted,
    /// Without those that are `null`.
    values: Map<String, Value>,
}

/// The range of a call.
#[derive(Clone, Debug)]
pub(crate) struct CallRange {
    pub(crate) choice: RangeChoice,
    pub(crate) range: TimeRange,
    pub(crate) zone: TimeZone,
}

impl Arguments {
    /// Reads the arguments of a tool, which has those of `accepted` and `own`.
    ///
    /// # Errors
    /// Returns an error if an argument is unknown. A filter that is ignored would return wrong numbers.
    pub(crate) fn read(
        arguments: Option<Map<String, Value>>,
        accepted: Accepted,
        own: &[&str],
    ) -> Result<Self, ToolError> {
        let values: Map<String, Value> =
            arguments.unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null()).collect();
        let is_known = |name: &&String| find(accepted, name).is_some() || own.contains(&name.as_str());
        match values.keys().find(|name| !is_known(name)) {
            None => Ok(Self { accepted, values }),
            Some(unknown) => {
                let listed = [names(accepted), own.join(", ")];
                let listed: Vec<String> = listed.into_iter().filter(|names| !names.is_empty()).collect();
                Err(ToolError::invalid(format!("unknown argument {unknown:?}: expected some of {}", listed.join(", "))))
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns an argument as text.
    ///
    /// # Errors
    /// Returns an error if it is not a text, a number, or a boolean.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, ToolError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        scalar(value).map(Some).ok_or_else(|| ToolError::invalid(format!("{name}: expected a text")))
    }

    /// Returns a whole number within limits.
    ///
    /// # Errors
    /// Returns an error if it is another value.
    pub(crate) fn count(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, ToolError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        let number = number.filter(|number| (min..=max).contains(number));
        number
            .map(Some)
            .ok_or_else(|| ToolError::invalid(format!("{name}: expected a whole number from {min} to {max}")))
    }

    /// Returns the texts of a comma-separated list, or of a JSON list.
    ///
    /// # Errors
    /// Returns an error if an entry is not a text.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<String>, ToolError> {
        let text = self.get(name).map(|value| parameter(name, value)).transpose()?.unwrap_or_default();
        Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect())
    }

    /// Returns the range, whose days are those of the zone that the call names.
    ///
    /// # Errors
    /// Returns an error if the range is not one.
    pub(crate) fn range(&self, now: Timestamp, default_zone: &TimeZone) -> Result<CallRange, ToolError> {
        let zone = match self.text(ZONE)? {
            None => default_zone.clone(),
            Some(name) => TimeZone::get(&name).map_err(|_| {
                ToolError::invalid(format!("{ZONE} {name:?}: expected an IANA time zone, such as Europe/Berlin"))
            })?,
        };
        let (min, max) = (self.text(FROM)?, self.text(TO)?);
        let choice = read_range(min.as_deref(), max.as_deref(), now, &zone)?;
        let range = choice.at(now, &zone).map_err(|error| ToolError::invalid(error.to_string()))?;
        Ok(CallRange { choice, range, zone })
    }

    /// Returns the parameters of a request to the API. The ends of the range are instants, which every API reads, so only series
    /// need the time zone.
    ///
    /// # Errors
    /// Returns an error if an argument has a type that no parameter has.
    pub(crate) fn query(&self, range: Option<&CallRange>) -> Result<UrlQuery, ToolError> {
        let mut query = UrlQuery::default();
        if let Some(CallRange { range, zone, .. }) = range {
            query.push(FROM, range.from().to_string());
            query.push(TO, range.to().to_string());
            let has_zone = find(self.accepted, ZONE).is_some() && *zone != TimeZone::UTC;
            if let Some(name) = zone.iana_name().filter(|_| has_zone) {
                query.push(ZONE, name);
            }
        }
        for (name, value) in self.values.iter().filter(|(name, _)| ![FROM, TO, ZONE].contains(&name.as_str())) {
            query.push(name, parameter(name, value)?);
        }
        Ok(query)
    }
}

/// Returns a value as the text of a parameter: lists are separated by commas, and objects are JSON.
fn parameter(name: &str, value: &Value) -> Result<String, ToolError> {
    match value {
        Value::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(scalar).collect();
            let texts = texts.filter(|texts| !texts.iter().any(|text| text.contains(',')));
            let texts = texts.ok_or_else(|| ToolError::invalid(format!("{name}: expected texts without commas")))?;
            Ok(texts.join(","))
        }
        Value::Object(_) => Ok(value.to_string()),
        other => Ok(scalar(other).unwrap_or_default()),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
