use std::path::{Path, PathBuf};

use crate::{
    ConfigError,
    registry::{ConfigFormat, ConfigProblem, Place, Problems, Reader, read_file, read_sections, without_secrets},
    row::Dimension,
};

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

const KEYS: &[&str] = &["active_keys", "pairs", "retention", "zone"];

impl AnalyticsSettings {
    /// Reads the section from the text of a TOML file. Other sections are ignored, and a missing one has defaults.
    ///
    /// # Errors
    ///
    /// Returns every problem of the section, with line and column.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        read(text, ConfigFormat::Toml, None).map_err(|problems| ConfigProblem::error_of(&problems))
    }

    /// Reads the section from the text of a JSON file.
    ///
    /// # Errors
    ///
    /// As [`from_toml`](Self::from_toml).
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        read(text, ConfigFormat::Json, None).map_err(|problems| ConfigProblem::error_of(&problems))
    }

    /// Reads the section of a file: JSON if its extension is `json`, and TOML otherwise.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, and otherwise every problem of the section, with line and column.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let path = path.into();
        let text = read_file(&path)?;
        read(&text, ConfigFormat::of(&path), Some(&path)).map_err(|problems| ConfigProblem::error_of(&problems))
    }

    /// Returns every problem of the section of a file, in the order of its text.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn check_file(path: impl AsRef<Path>) -> Result<Vec<ConfigProblem>, ConfigError> {
        let path = path.as_ref().to_owned();
        let text = read_file(&path)?;
        Ok(read(&text, ConfigFormat::of(&path), Some(&path)).err().unwrap_or_default())
    }
}

fn read(text: &str, format: ConfigFormat, file: Option<&Path>) -> Result<AnalyticsSettings, Vec<ConfigProblem>> {
    read_sections(text, format, file, |reader, root| {
        root.get("analytics").map(|place| section(reader, &place)).unwrap_or_default()
    })
}

fn section(reader: &mut Reader<'_>, place: &Place<'_>) -> AnalyticsSettings {
    let table = place.table(KEYS, &mut reader.problems);
    let pairs = table.get("pairs");
    let pairs = pairs.as_ref().map(|pairs| pairs.list(&mut reader.problems)).unwrap_or_default();
    let zone = table.get("zone");
    AnalyticsSettings {
        active_keys: table.get("active_keys").map(|place| keys(reader, &place)),
        pairs: pairs.iter().filter_map(|pair| dimensions(reader, pair)).collect(),
        retention: table.get("retention").map(|place| retention(reader, &place)).unwrap_or_default(),
        zone: zone.and_then(|place| {
            let name = place.text(&mut reader.problems)?;
            if let Err(error) = TimeRange::check_zone(name) {
                fail(reader, &place, "zone", &error.to_string());
            }
            Some(name.to_owned())
        }),
    }
}

fn keys(reader: &mut Reader<'_>, place: &Place<'_>) -> Vec<String> {
    let mut keys = Vec::new();
    for item in place.list(&mut reader.problems) {
        let Some(key) = item.text(&mut reader.problems) else { continue };
        reader.check_key(&item, key);
        keys.push(key.to_owned());
    }
    keys
}

/// Reads `["metadata.tenant_id", "model"]`.
fn dimensions(reader: &mut Reader<'_>, pair: &Place<'_>) -> Option<(Dimension, Dimension)> {
    let mut dimension = |place: &Place<'_>| {
        let name = place.text(&mut reader.problems)?;
        reader.check_property(place, name);
        let found = Dimension::from_name(name);
        if found.is_none() {
            let problem = format!("unknown dimension {name:?}: expected a field, such as model, or metadata.KEY");
            fail(reader, place, "pairs", &problem);
        }
        found
    };
    let places = pair.list(&mut Problems::default());
    if let [one, other] = places.as_slice() {
        let (one, other) = (dimension(one), dimension(other));
        return one.zip(other);
    }
    fail(reader, pair, "pairs", "expected a list of two dimensions");
    None
}

/// Reads `{ rows = "400d", hours = "90d" }`.
fn retention(reader: &mut Reader<'_>, place: &Place<'_>) -> Retention {
    let table = place.table(&["days", "hours", "rows"], &mut reader.problems);
    let mut age = |name: &str| {
        let place = table.get(name)?;
        let text = place.text(&mut reader.problems)?;
        let age = humantime::parse_duration(text);
        if let Err(error) = &age {
            let problem = format!("invalid age {text:?} ({error}): expected one such as \"400d\"");
            fail(reader, &place, &format!("retention.{name}"), &problem);
        }
        age.ok()
    };
    Retention { rows: age("rows"), hours: age("hours"), days: age("days") }
}

fn fail(reader: &mut Reader<'_>, place: &Place<'_>, key: &str, problem: &str) {
    place.fail(&mut reader.problems, without_secrets(&format!("{key}: {problem}")));
}

#[cfg(test)]
mod tests {
    use super::{AnalyticsSettings, ConfigFormat, Dimension, read};

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
    fn reports_every_problem_with_its_place() {
        let text = r#"
            [analytics]
            keys = []
            active_keys = 3
            pairs = [["team", "model"], ["model"], "model"]
            retention = { rows = "long", weeks = "1d" }
            zone = "Mars"
        "#;
        let problems = read(text, ConfigFormat::Toml, None).unwrap_err();
        let found: Vec<(usize, &str)> = problems.iter().map(|problem| (problem.line, &*problem.message)).collect();
        let expected = [
            (3, "unknown key \"keys\""),
            (4, "expected a list"),
            (5, "pairs: unknown dimension \"team\""),
            (5, "pairs: expected a list of two dimensions"),
            (5, "pairs: expected a list of two dimensions"),
            (6, "retention.rows: invalid age \"long\""),
            (6, "unknown key \"weeks\""),
            (7, "zone: "),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((line, message), (expected_line, start)) in found.into_iter().zip(expected) {
            assert!(line == expected_line && message.starts_with(start), "{line}: {message}");
        }
    }

    #[test]
    fn quotes_no_value_that_may_be_a_secret() {
        const KEY: &str = "sk-live-0123456789abcdefghijklmnop";
        for text in [
            format!("[analytics]\nretention = {{ rows = \"{KEY}\" }}"),
            format!("[analytics]\npairs = [[\"{KEY}\", \"model\"]]"),
            format!("[analytics]\nzone = \"{KEY}\""),
            format!("[analytics]\nactive_keys = \"{KEY}\""),
            format!("[analytics]\n{KEY} = 1"),
        ] {
            let error = AnalyticsSettings::from_toml(&text).unwrap_err().to_string();
            assert!(!error.contains("sk-live"), "{error}");
        }
    }
}
