use http::HeaderName;

use crate::config_error::{ConfigError, ConfigProblems};

use super::secret::Secret;

/// The headers that become tags under a name of the operator's choice.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowList {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: HeaderName,
    pub(super) key: Box<str>,
    /// The environment variable that the entry was read from.
    pub(super) variable: Option<&'static str>,
}

impl AllowList {
    /// Adds the entries of a list such as `X-User-Id, x-tenant=tenant`.
    pub(super) fn add(&mut self, list: &str, variable: Option<&'static str>, problems: &mut ConfigProblems) {
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match parse(entry) {
                Some((name, key)) => self.entries.push(Entry { name, key, variable }),
                None => problems.push(attributed(invalid(entry), variable)),
            }
        }
        // A map appends keys that arrive in order. The sort is stable: of entries with the same key, the first stays first.
        self.entries.sort_by(|one, other| one.key.cmp(&other.key));
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }
}

impl Entry {
    /// Returns the error for a header that holds a secret, or that may hold one.
    pub(super) fn secret_error(&self, secret: Secret) -> ConfigError {
        attributed(secret.error(&self.name), self.variable)
    }
}

fn parse(entry: &str) -> Option<(HeaderName, Box<str>)> {
    let (name, key) = match entry.split_once('=') {
        Some((name, key)) => (name.trim(), Some(key.trim())),
        None => (entry, None),
    };
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let key = key.unwrap_or(name.as_str());
    // Control characters would be removed from every request. A second equals sign is a typing error.
    let is_valid = !key.is_empty() && !key.contains(|letter: char| letter == '=' || letter.is_control());
    let key = is_valid.then(|| key.into())?;
    Some((name, key))
}

fn invalid(entry: &str) -> ConfigError {
    ConfigError::new(format!(
        "invalid allow-list entry {entry:?}: expected a header name, optionally followed by \"=key\""
    ))
}

fn attributed(error: ConfigError, variable: Option<&'static str>) -> ConfigError {
    match variable {
        Some(variable) => error.in_variable(variable),
        None => error,
    }
}
