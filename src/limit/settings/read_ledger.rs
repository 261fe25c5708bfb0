//! The section `ledger`.

use std::time::Duration;

use crate::{
    ConfigError,
    registry::{Place, Reader},
};

use super::{ledger_settings::LedgerSettings, values};

const KEYS: &[&str] = &["lease", "namespace", "timeout", "url"];
const SCHEMES: &[&str] = &["postgres://", "postgresql://", "redis://", "rediss://", "valkey://", "valkeys://"];
const MAX_NAMESPACE_CHARS: usize = 64;

pub(super) fn ledger(reader: &mut Reader<'_>, place: &Place<'_>) -> LedgerSettings {
    let table = place.table(KEYS, &mut reader.problems);
    table.require("url", &mut reader.problems);
    let mut settings = LedgerSettings::default();
    if let Some(url) = values::parsed(reader, &table, "url", url) {
        settings.url = url;
    }
    settings.timeout = within(reader, &table, "timeout", Duration::from_millis(1), Duration::from_secs(60));
    settings.lease = within(reader, &table, "lease", Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
    settings.namespace = values::parsed(reader, &table, "namespace", namespace);
    settings
}

/// Reads a time within limits.
fn within(
    reader: &mut Reader<'_>,
    table: &crate::registry::Table<'_>,
    key: &str,
    least: Duration,
    most: Duration,
) -> Option<Duration> {
    let time = values::duration(reader, table, key)?;
    if !(least..=most).contains(&time)
        && let Some(place) = table.get(key)
    {
        place.fail(&mut reader.problems, format!("{key}: expected a time from {least:?} to {most:?}, found {time:?}"));
        return None;
    }
    Some(time)
}

/// Checks a URL. The error does not quote it, because it may contain a password.
fn url(text: &str) -> Result<String, ConfigError> {
    let has_host = |scheme: &&&str| text.strip_prefix(**scheme).is_some_and(|rest| !rest.is_empty());
    if text == LedgerSettings::MEMORY || SCHEMES.iter().any(|scheme| has_host(&scheme)) {
        return Ok(text.to_owned());
    }
    Err(ConfigError::new("expected \"memory\", or a URL that starts with postgres:// or redis://"))
}

fn namespace(text: &str) -> Result<String, ConfigError> {
    let is_valid = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if (1..=MAX_NAMESPACE_CHARS).contains(&text.len()) && text.chars().all(is_valid) {
        return Ok(text.to_owned());
    }
    Err(ConfigError::new(format!("expected 1 to {MAX_NAMESPACE_CHARS} letters, digits, or one of - _ .")))
}
