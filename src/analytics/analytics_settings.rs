use std::time::Duration;

use serde::Deserialize;

use crate::{config_error::ConfigError, row::Dimension};

use super::{Retention, TimeRange};

/// The section `[analytics]` of a configuration file.
///
/// [`Analytics::apply`](super::Analytics::apply) puts the keys and pairs into effect. The retention is an argument of
/// [`Analytics::maintain`](super::Analytics::maintain), and the zone one of [`Api::zone`](super::api::Api::zone).
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::analytics::AnalyticsSettings;
///
/// let settings = AnalyticsSettings::from_toml(
///     r#"
///     [analytics]
///     active_keys = ["_user", "team", "tenant_id"]
///     pairs = [["metadata.tenant_id", "metadata.feature"]]
///     retention = { rows = "400d", hours = "90d" }
///     zone = "Europe/Berlin"
///     "#,
/// )?;
/// assert_eq!(settings.retention.rows, Some(Duration::from_secs(400 * 24 * 60 * 60)));
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AnalyticsSettings {
    /// The keys that are active. `None` leaves the keys of the store as they are.
    pub active_keys: Option<Vec<String>>,
    /// The pairs of dimensions by which sums are kept.
    pub pairs: Vec<(Dimension, Dimension)>,
    /// The ages at which rows and sums are deleted.
    pub retention: Retention,
    /// The IANA time zone of calendar days, unless a request names another. `None` means UTC.
    pub zone: Option<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    analytics: Section,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    active_keys: Option<Vec<String>>,
    #[serde(default)]
    pairs: Vec<[String; 2]>,
    #[serde(default)]
    retention: Ages,
    zone: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ages {
    rows: Option<String>,
    hours: Option<String>,
    days: Option<String>,
}

impl AnalyticsSettings {
    /// Reads the section from the text of a TOML file. Other sections are ignored, and a missing one has defaults.
    ///
    /// # Errors
    /// Returns an error if the text is not TOML, or if a value of the section is invalid.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let file = toml::from_str::<File>(text);
        Self::new(file.map_err(|error| ConfigError::new(format!("[analytics]: {}", one_line(&error))))?.analytics)
    }

    /// Reads the section from the text of a JSON file, as [`from_toml`](Self::from_toml) does.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml).
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let file = serde_json::from_str::<File>(text);
        Self::new(file.map_err(|error| ConfigError::new(format!("[analytics]: {error}")))?.analytics)
    }

    fn new(section: Section) -> Result<Self, ConfigError> {
        let pairs = section.pairs.into_iter().map(|[one, other]| {
            let dimension = |name: String| {
                Dimension::from_name(&name).ok_or_else(|| {
                    ConfigError::new(format!(
                        "[analytics] pairs: unknown dimension {name:?}: expected a field, such as model, or metadata.KEY"
                    ))
                })
            };
            Ok((dimension(one)?, dimension(other)?))
        });
        if let Some(zone) = &section.zone {
            TimeRange::check_zone(zone).map_err(|error| ConfigError::new(format!("[analytics] zone: {error}")))?;
        }
        Ok(Self {
            active_keys: section.active_keys,
            pairs: pairs.collect::<Result<_, ConfigError>>()?,
            retention: Retention {
                rows: age("rows", section.retention.rows)?,
                hours: age("hours", section.retention.hours)?,
                days: age("days", section.retention.days)?,
            },
            zone: section.zone,
        })
    }
}

fn age(name: &str, text: Option<String>) -> Result<Option<Duration>, ConfigError> {
    let parse = |text: String| {
        humantime::parse_duration(&text).map_err(|error| {
            ConfigError::new(format!(
                "[analytics] retention.{name}: invalid age {text:?} ({error}): expected one such as 400d"
            ))
        })
    };
    text.map(parse).transpose()
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::{AnalyticsSettings, Dimension};

    #[test]
    fn reads_the_section_and_ignores_others() {
        let settings =
            AnalyticsSettings::from_toml("[limits]\nx = 1\n[analytics]\npairs = [[\"metadata.team\", \"model\"]]\n");
        let pair = (Dimension::tag("team"), crate::row::Field::Model.into());
        assert_eq!(settings.unwrap().pairs, [pair]);
        assert_eq!(AnalyticsSettings::from_toml("").unwrap(), AnalyticsSettings::default());
        assert_eq!(AnalyticsSettings::from_json("{}").unwrap(), AnalyticsSettings::default());
    }

    #[test]
    fn names_what_is_invalid() {
        for (text, part) in [
            ("[analytics]\nretention = { rows = \"long\" }", "retention.rows"),
            ("[analytics]\nzone = \"Mars\"", "zone"),
            ("[analytics]\npairs = [[\"team\", \"model\"]]", "\"team\""),
            ("[analytics]\nkeys = []", "keys"),
            ("[analytics]\nactive_keys = 3", "[analytics]"),
        ] {
            let error = AnalyticsSettings::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.starts_with("[analytics]"), "{error}");
        }
    }
}
