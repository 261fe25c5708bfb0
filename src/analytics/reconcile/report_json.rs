//! Values that the reports have in common.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value;

use crate::usage::SignedMoney;

use super::ReportError;

/// Calls a function with the start of each bucket and each of its results.
pub(super) fn for_each_result(
    page: &str,
    day: impl Fn(&Value) -> Option<Date>,
    mut add: impl FnMut(Date, &Value) -> Result<(), ReportError>,
) -> Result<(), ReportError> {
    let page = parse(page)?;
    let buckets = array(&page, "data")?;
    for (at, bucket) in buckets.iter().enumerate() {
        let day = day(bucket).ok_or_else(|| ReportError::new(format!("expected the start of bucket {at}")))?;
        for result in array(bucket, "results")? {
            add(day, result)?;
        }
    }
    Ok(())
}

pub(super) fn parse(page: &str) -> Result<Value, ReportError> {
    serde_json::from_str(page).map_err(|error| ReportError::new(format!("expected a page of JSON, but {error}")))
}

fn array<'v>(value: &'v Value, name: &str) -> Result<&'v [Value], ReportError> {
    let found = value.get(name).and_then(Value::as_array);
    found.map(Vec::as_slice).ok_or_else(|| ReportError::new(format!("expected the array `{name}`")))
}

/// Returns the UTC day of a time.
pub(super) fn utc_day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

pub(super) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

/// Reads an amount, which is a number or a decimal number as text, in units of which a dollar has `per_dollar`.
pub(super) fn amount(value: &Value, per_dollar: f64) -> Result<SignedMoney, ReportError> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    };
    number
        .and_then(|number: f64| SignedMoney::from_usd(number / per_dollar))
        .ok_or_else(|| ReportError::new(format!("expected an amount, found {value}")))
}

/// Rejects amounts in other currencies.
pub(super) fn require_usd(currency: Option<&str>) -> Result<(), ReportError> {
    match currency {
        Some(currency) if !currency.eq_ignore_ascii_case("usd") => {
            Err(ReportError::new(format!("expected amounts in USD, found {currency:?}")))
        }
        _ => Ok(()),
    }
}
