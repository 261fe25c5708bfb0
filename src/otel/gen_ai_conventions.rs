use std::str::FromStr;

use super::parse_conventions_error::{NEWEST_MINOR, ParseConventionsError};

/// Version of the GenAI semantic conventions that names the attributes of LLM calls.
///
/// The [conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/) are in development, and some attributes were
/// renamed.
///
/// ```
/// use tower_tagging::otel::GenAiConventions;
///
/// assert_eq!("1.36".parse(), Ok(GenAiConventions::System));
/// assert_eq!("1.40".parse(), Ok(GenAiConventions::ProviderName));
/// assert!("9.9".parse::<GenAiConventions>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenAiConventions {
    /// Versions up to 1.36: `gen_ai.system`.
    System,
    /// Versions from 1.37: `gen_ai.provider.name`, and details of the usage (`gen_ai.usage.cache_read.input_tokens`, …).
    #[default]
    ProviderName,
    /// Old and new names at the same time, for a migration.
    Both,
}

impl FromStr for GenAiConventions {
    type Err = ParseConventionsError;

    /// Parses a version such as `1.36` or `1.36.0`, or the word `both`.
    ///
    /// # Errors
    /// Returns an error for versions before 1.27, which had no names for usage, and for unknown versions.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "both" {
            return Ok(Self::Both);
        }
        let unsupported = || ParseConventionsError::new(text);
        let minor = text.strip_prefix("1.").ok_or_else(unsupported)?;
        let minor = minor.strip_suffix(".0").unwrap_or(minor);
        match minor.parse::<u32>().map_err(|_| unsupported())? {
            27..=36 => Ok(Self::System),
            37..=NEWEST_MINOR => Ok(Self::ProviderName),
            _ => Err(unsupported()),
        }
    }
}
