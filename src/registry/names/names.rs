use std::{borrow::Cow, collections::HashMap};

use super::{key_style::KeyStyle, typo::closest};

/// The rules for the keys of tags: aliases, and their style. See the [module](super) documentation.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub(super) aliases: HashMap<String, String>,
    pub(super) style: KeyStyle,
}

impl Names {
    /// Returns the key to store for a key that a client sent.
    ///
    /// An alias allocates its key. A key that stays as it is does not allocate.
    pub fn apply<'t>(&self, key: &'t str) -> Cow<'t, str> {
        if let Some(target) = self.target(key) {
            return Cow::Owned(target.to_owned());
        }
        match self.style.apply(key) {
            Cow::Borrowed(key) => Cow::Borrowed(key),
            Cow::Owned(styled) => match self.target(&styled) {
                Some(target) => Cow::Owned(target.to_owned()),
                None => Cow::Owned(styled),
            },
        }
    }

    /// Returns the key under which tags with a key of a rule are stored, if it is another one: the rule would match no tag of a
    /// client.
    pub(crate) fn stored_elsewhere<'k>(&self, key: &'k str) -> Option<Cow<'k, str>> {
        let stored = self.apply(key);
        // The key of an alias is stored as it is.
        let is_reachable = stored == key || self.aliases.values().any(|target| target == key);
        (!is_reachable).then_some(stored)
    }

    /// Returns the aliases and their keys, in no particular order.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(alias, key)| (alias.as_str(), key.as_str()))
    }

    /// Returns the style of keys.
    pub fn style(&self) -> KeyStyle {
        self.style
    }

    /// Returns the known key that is one edit away from an unknown one.
    ///
    /// An edit inserts, removes, or replaces a character, or swaps two neighbors. Case does not count: a key that differs
    /// only in case is the closest. Among equally close keys, the first in alphabetical order is returned. Returns `None`
    /// if the key is known, or has fewer than four characters.
    pub fn typo<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        closest(key, known)
    }

    fn target(&self, key: &str) -> Option<&str> {
        if self.aliases.is_empty() {
            return None;
        }
        self.aliases.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyStyle, Names};

    #[test]
    fn aliases_of_the_key_as_sent_come_first() {
        let names = Names::builder().style(KeyStyle::Snake).alias("userId", "exact").alias("user_id", "styled").build();
        let names = names.unwrap();
        for (key, expected) in [
            ("userId", "exact"),
            ("user_id", "styled"),
            ("User-Id", "styled"),
            ("userid", "userid"),
            ("Team-Name", "team_name"),
        ] {
            assert_eq!(names.apply(key), expected);
        }
    }

    #[test]
    fn keys_of_aliases_keep_their_form() {
        let names = Names::builder().style(KeyStyle::Lower).alias("user-id", "UserId").build().unwrap();
        assert_eq!(names.apply("USER-ID"), "UserId");
    }

    #[test]
    fn without_rules_keys_stay() {
        assert_eq!(Names::default().apply("User-Id"), "User-Id");
    }
}
