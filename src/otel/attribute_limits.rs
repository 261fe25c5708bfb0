use super::{environment::variable, otel_error::OtelError};

/// Limits on the attributes of a span or a log record.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttributeLimits {
    pub(super) count: usize,
    pub(super) value_chars: usize,
}

impl Default for AttributeLimits {
    /// The [default limits](https://opentelemetry.io/docs/specs/otel/common/#configurable-parameters) of OpenTelemetry.
    fn default() -> Self {
        Self { count: 128, value_chars: usize::MAX }
    }
}

impl AttributeLimits {
    /// Reads the limits for spans from the environment, or else the general limits.
    ///
    /// # Errors
    /// Returns an error for each variable whose value is not a number.
    pub(super) fn from_env() -> Result<Self, OtelError> {
        let count = first_number(["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"]);
        let chars = first_number(["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"]);
        match (count, chars) {
            (Ok(count), Ok(chars)) => {
                let defaults = Self::default();
                Ok(Self { count: count.unwrap_or(defaults.count), value_chars: chars.unwrap_or(defaults.value_chars) })
            }
            (count, chars) => {
                OtelError::join([count.err(), chars.err()].into_iter().flatten()).map(|()| Self::default())
            }
        }
    }
}

/// Returns the value of the first variable that is set.
fn first_number(names: [&str; 2]) -> Result<Option<usize>, OtelError> {
    let set = names.into_iter().find_map(|name| variable(name).map(|text| (name, text)));
    let parse = |(name, text): (&str, String)| {
        text.parse().map_err(|_| OtelError::new(format!("invalid {name} {text:?}: expected a number")))
    };
    set.map(parse).transpose()
}
