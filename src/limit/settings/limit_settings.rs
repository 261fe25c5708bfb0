use std::path::{Path, PathBuf};

use crate::{
    ConfigError,
    registry::{ConfigFormat, ConfigProblem, Reader, Table, read_file, read_sections},
};

use super::{
    super::{alerts::AlertSettings, rules::LimitRule},
    ledger_settings::LedgerSettings,
    read_alerts, read_ledger, read_rules,
};

/// The sections `[[limits]]`, `[[alerts]]`, and `[ledger]` of a configuration file.
///
/// Other sections are ignored; the [registry](crate::registry) reads them. Missing sections have defaults: no rules, no alerts,
/// and a ledger in memory.
///
/// ```
/// use tower_tagging::limit::{LimitSettings, Limiter};
///
/// let settings = LimitSettings::from_toml(
///     r#"
///     [[limits]]
///     name = "team-monthly"
///     kind = "budget"
///     amount = "500 USD"
///     window = "month"
///     zone = "Europe/Berlin"
///     group_by = ["metadata.team"]
///     on_unpriced = "allow"
///     on_store_error = "deny"
///
///     [[limits]]
///     name = "per-key"
///     kind = "rate"
///     amount = "60 requests"
///     window = "1m"
///     burst = 20
///     group_by = ["api_key"]
///     on_store_error = "allow"
///     "#,
/// )?;
/// let limiter = Limiter::builder().rules(settings.rules).build()?;
/// assert_eq!(limiter.rules().len(), 2);
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
///
/// # Rules
///
/// | key of `[[limits]]` | value |
/// |---|---|
/// | `name` | the name: the identity of what the rule has counted. Required |
/// | `title` | the name for people |
/// | `kind` | `budget` or `rate`. Required |
/// | `amount` | `"500 USD"`, `"1000000 tokens"`, `"1000 requests"`, or a recorded quantity, such as `"60 gpu_seconds"`. Required, except for a rate that has only `concurrent` |
/// | `window` | budgets: `hour`, `day`, `week`, `month`, `quarter`, `year`, or a rolling time, such as `"30d rolling"`; rates: a time, such as `"1m"`. Required with `amount` |
/// | `zone` | the IANA time zone of a calendar window. The default is `UTC` |
/// | `fiscal_start` | the first day of the fiscal year, such as `"04-01"`, for windows of a month, quarter, or year |
/// | `when`, `exclude` | conditions: properties with lists of patterns, as in [`LimitRuleBuilder::when`](crate::limit::LimitRuleBuilder::when) |
/// | `group_by` | a list of properties |
/// | `burst`, `chunk` | an amount, or a number in the unit of the rule |
/// | `concurrent` | the number of requests that may run at the same time, for rates |
/// | `estimate` | the amount that a call reserves if no better estimate is available |
/// | `raises` | a list of `{ amount, until }` |
/// | `status` | the status of rejections |
/// | `mode` | `off`, `shadow`, or `enforce` |
/// | `on_missing` | `skip`, `deny`, or `bucket` |
/// | `on_store_error` | `allow` or `deny`. Required |
/// | `on_unpriced` | `allow` or `deny`. Required for limits on cost |
/// | `cut_streams` | the factor of the reservation after which a stream is cut |
/// | `charge_unknown` | `true` if a call with unknown usage counts what it reserved |
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LimitSettings {
    /// The rules, in the order of the file.
    pub rules: Vec<LimitRule>,
    /// The alerts, in the order of the file.
    pub alerts: Vec<AlertSettings>,
    /// The place where limits are counted.
    pub ledger: LedgerSettings,
}

impl LimitSettings {
    /// Reads the sections from the text of a TOML file.
    ///
    /// # Errors
    ///
    /// Returns every problem of the sections, with line and column.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        read(text, ConfigFormat::Toml, None).map_err(|problems| ConfigProblem::error_of(&problems))
    }

    /// Reads the sections from the text of a JSON file.
    ///
    /// # Errors
    ///
    /// Returns every problem of the sections, with line and column.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        read(text, ConfigFormat::Json, None).map_err(|problems| ConfigProblem::error_of(&problems))
    }

    /// Reads the sections of a file: JSON if its extension is `json`, and TOML otherwise. Relative paths start at its folder.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, and otherwise every problem of the sections, with line and column.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let path = path.into();
        let text = read_file(&path)?;
        read(&text, ConfigFormat::of(&path), Some(&path)).map_err(|problems| ConfigProblem::error_of(&problems))
    }

    /// Returns every problem of the sections, in the order of the text.
    ///
    /// Together with those of [`Registry::check`](crate::registry::Registry::check), sorted and without duplicates, these are all
    /// problems of a configuration. Both report errors of the syntax.
    pub fn check(text: &str, format: ConfigFormat) -> Vec<ConfigProblem> {
        read(text, format, None).err().unwrap_or_default()
    }

    /// Returns every problem of the sections of a file, in the order of its text.
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

fn read(text: &str, format: ConfigFormat, file: Option<&Path>) -> Result<LimitSettings, Vec<ConfigProblem>> {
    read_sections(text, format, file, settings)
}

fn settings(reader: &mut Reader<'_>, root: &Table<'_>) -> LimitSettings {
    let limits = root.get("limits");
    let items = limits.as_ref().map(|list| list.list(&mut reader.problems)).unwrap_or_default();
    // A rule with a problem counts for the alerts, too, so that they are not reported because of it.
    let names = read_rules::names(&items, reader);
    let rules = items.iter().filter_map(|rule| read_rules::rule(reader, rule)).collect();
    let alerts = root.get("alerts");
    let items = alerts.as_ref().map(|list| list.list(&mut reader.problems)).unwrap_or_default();
    let alerts = read_alerts::alerts(reader, &items, &names);
    let ledger = root.get("ledger").map(|place| read_ledger::ledger(reader, &place)).unwrap_or_default();
    LimitSettings { rules, alerts, ledger }
}
