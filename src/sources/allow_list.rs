use http::HeaderName;

use crate::metadata::ConfigError;

/// Header names and the keys they become, in the syntax of `HEADERS_TO_METADATA`.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowList {
    entries: Vec<(HeaderName, Box<str>)>,
}

impl AllowList {
    /// Adds the names in a list such as `X-User-Id, x-tenant=tenant`.
    pub(super) fn add(&mut self, list: &str, is_allowed: impl Fn(&HeaderName) -> bool) -> Result<(), ConfigError> {
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, key) = match entry.split_once('=') {
                Some((name, key)) => (name.trim(), Some(key.trim())),
                None => (entry, None),
            };
            let invalid = || ConfigError::InvalidHeader { entry: entry.to_owned(), variable: None };
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            if !is_allowed(&name) {
                return Err(ConfigError::SecretHeader { name, variable: None });
            }
            let key = key.unwrap_or(name.as_str());
            // It would be changed for every request, or is a slip.
            if key.is_empty() || key.contains(|letter: char| letter == '=' || letter.is_control()) {
                return Err(invalid());
            }
            let key = key.into();
            self.entries.push((name, key));
        }
        // Tags that are read in the order of their keys are written at the end of a map. Of two entries with the same
        // key the earlier stays the first.
        self.entries.sort_by(|(_, one), (_, other)| one.cmp(other));
        Ok(())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.entries.iter().map(|(name, key)| (name, &**key))
    }

    /// The entry of this number.
    pub(super) fn entry(&self, number: usize) -> Option<(&HeaderName, &str)> {
        self.entries.get(number).map(|(name, key)| (name, &**key))
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.entries.iter().any(|(entry, _)| entry == name)
    }
}
