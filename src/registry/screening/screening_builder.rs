use std::fmt;

use crate::config_error::{ConfigError, ConfigProblems};

use super::{
    keyed_hash::KeyedHash,
    screening::{Rules, Screening, TagRule},
    screening_action::ScreeningAction,
    screening_kind::ScreeningKind,
};

/// The minimum length of a hash key, in bytes.
///
/// Phone numbers are few enough to try all of them if the key can be guessed.
const MIN_KEY_LENGTH: usize = 16;

/// Builds a [`Screening`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ScreeningBuilder {
    kinds: Vec<(ScreeningKind, ScreeningAction)>,
    tags: Vec<(String, ScreeningAction)>,
    hash_key: Option<Vec<u8>>,
}

impl Screening {
    /// Creates a builder.
    pub fn builder() -> ScreeningBuilder {
        ScreeningBuilder::default()
    }
}

impl ScreeningBuilder {
    /// Sets the treatment of a kind. Kinds that are not set are off.
    pub fn kind(mut self, kind: ScreeningKind, action: ScreeningAction) -> Self {
        self.kinds.push((kind, action));
        self
    }

    /// Sets the treatment of all values of a tag, whatever they are.
    ///
    /// [`Mask`](ScreeningAction::Mask) replaces the value by `[masked]`, and [`Hash`](ScreeningAction::Hash) by `hash:` and
    /// 16 hexadecimal digits. [`Off`](ScreeningAction::Off) exempts the tag from screening. The key is the one after aliases
    /// and the key style.
    pub fn tag(mut self, key: impl Into<String>, action: ScreeningAction) -> Self {
        self.tags.push((key.into(), action));
        self
    }

    /// Sets the key of hashes: at least 16 random bytes.
    pub fn hash_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.hash_key = Some(key.as_ref().to_owned());
        self
    }

    /// Builds the screening.
    ///
    /// # Errors
    ///
    /// Returns an error if an action is `Hash` and no hash key is set, if the hash key is shorter than 16 bytes, or
    /// if the key of a tag is empty.
    pub fn build(self) -> Result<Screening, ConfigError> {
        let mut problems = ConfigProblems::default();
        let mut rules = Rules::default();
        for (kind, action) in &self.kinds {
            if let Some(current) = rules.actions.get_mut(kind.index()) {
                *current = *action;
            }
        }
        for (key, action) in &self.tags {
            if key.is_empty() {
                problems.push(ConfigError::new("invalid tag of screening: expected a key, found none"));
            }
            rules.tags.insert(key.clone(), TagRule::new(*action));
        }
        match &self.hash_key {
            Some(key) if key.len() < MIN_KEY_LENGTH => {
                let found = key.len();
                let problem = format!(
                    "the hash key of screening is too short: expected at least {MIN_KEY_LENGTH} bytes, found {found}"
                );
                problems.push(ConfigError::new(problem));
            }
            Some(key) => rules.hash = KeyedHash::new(key),
            None => {
                let kinds = ScreeningKind::ALL.iter().zip(rules.actions).map(|(kind, action)| (kind.as_str(), action));
                let tags = rules.tags.iter().map(|(key, rule)| (key.as_str(), rule.action));
                let mut hashed: Vec<_> = kinds
                    .chain(tags)
                    .filter(|(_, action)| *action == ScreeningAction::Hash)
                    .map(|(name, _)| name)
                    .collect();
                if !hashed.is_empty() {
                    hashed.sort_unstable();
                    let problem = format!(
                        "no hash key, but screening hashes {}: set one of at least 16 bytes",
                        hashed.join(", ")
                    );
                    problems.push(ConfigError::new(problem));
                }
            }
        }
        problems.into_result()?;
        let is_off = rules.tags.is_empty() && rules.actions.iter().all(|action| *action == ScreeningAction::Off);
        Ok(if is_off { Screening::default() } else { Screening::new(rules) })
    }
}

impl fmt::Debug for ScreeningBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScreeningBuilder")
            .field("kinds", &self.kinds)
            .field("tags", &self.tags)
            .field("has_hash_key", &self.hash_key.is_some())
            .finish()
    }
}
