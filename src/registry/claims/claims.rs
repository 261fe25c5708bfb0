use std::collections::HashMap;

use crate::config_error::{ConfigError, ConfigProblems};

use super::{entry::Entry, glob::Glob, otherwise::Otherwise};

/// The tags that an API key may set from the request. See the [module](super) documentation.
#[derive(Clone, Debug)]
pub struct Claims {
    /// The values of keys without wildcards. `None` allows every value.
    exact: HashMap<String, Option<Vec<Glob>>>,
    /// The keys with wildcards, and their values.
    patterns: Vec<(Glob, Option<Glob>)>,
    otherwise: Otherwise,
}

impl Claims {
    /// Creates claims from entries `KEY` or `KEY=GLOB`.
    ///
    /// Without entries, the key may set no tag at all.
    ///
    /// # Errors
    ///
    /// Returns an error that lists every entry with an empty key, with white space around the key, or with an escape at
    /// the end of the key or value.
    pub fn new<T: AsRef<str>>(allow: impl IntoIterator<Item = T>, otherwise: Otherwise) -> Result<Self, ConfigError> {
        let mut claims = Self { exact: HashMap::new(), patterns: Vec::new(), otherwise };
        let mut problems = ConfigProblems::default();
        for entry in allow {
            if let Some(entry) = problems.take(Entry::parse(entry.as_ref())) {
                claims.add(entry);
            }
        }
        problems.into_result()?;
        Ok(claims)
    }

    fn add(&mut self, Entry { key, value }: Entry) {
        let Some(name) = key.literal() else {
            self.patterns.push((key, value));
            return;
        };
        let values = self.exact.entry(name).or_insert_with(|| Some(Vec::new()));
        match value {
            Some(glob) => {
                if let Some(globs) = values {
                    globs.push(glob);
                }
            }
            None => *values = None,
        }
    }

    /// Returns `true` if the key may set the tag to this value.
    pub fn allows(&self, key: &str, value: &str) -> bool {
        let by_key = self.exact.get(key).is_some_and(|globs| match globs {
            Some(globs) => globs.iter().any(|glob| glob.matches(value)),
            None => true,
        });
        by_key
            || self
                .patterns
                .iter()
                .any(|(keys, values)| keys.matches(key) && values.as_ref().is_none_or(|glob| glob.matches(value)))
    }

    /// Returns the keys without wildcards.
    pub(crate) fn literal_keys(&self) -> impl Iterator<Item = &str> {
        self.exact.keys().map(String::as_str)
    }

    /// Returns the treatment of other tags.
    pub fn otherwise(&self) -> Otherwise {
        self.otherwise
    }
}

#[cfg(test)]
mod tests {
    use super::{Claims, Otherwise};

    #[test]
    fn several_entries_for_a_key_are_alternatives() {
        let claims = Claims::new(["env=prod*", "env=stag?ng", "x-*=a", "x-y"], Otherwise::Reject).unwrap();
        for (key, value, is_allowed) in [
            ("env", "production", true),
            ("env", "prod", true),
            ("env", "staging", true),
            ("env", "staging2", false),
            ("env", "", false),
            ("ENV", "prod", false),
            ("x-z", "a", true),
            ("x-z", "b", false),
            ("x-y", "b", true),
            ("x-", "a", true),
            ("team", "a", false),
        ] {
            assert_eq!(claims.allows(key, value), is_allowed, "{key}={value}");
        }
        assert_eq!(claims.otherwise(), Otherwise::Reject);
    }

    #[test]
    fn an_entry_without_a_value_allows_every_value() {
        for entries in [["env", "env=prod"], ["env=prod", "env"]] {
            assert!(Claims::new(entries, Otherwise::Drop).unwrap().allows("env", "staging"));
        }
        assert!(!Claims::new(["env="], Otherwise::Drop).unwrap().allows("env", "staging"));
        assert!(Claims::new(["env="], Otherwise::Drop).unwrap().allows("env", ""));
    }

    #[test]
    fn no_entries_allow_nothing() {
        assert!(!Claims::new::<&str>([], Otherwise::Drop).unwrap().allows("env", "prod"));
    }

    #[test]
    fn escapes_make_wildcards_and_equals_signs_literal() {
        let claims = Claims::new([r"a\=b=\*=\?", r"c\*"], Otherwise::Drop).unwrap();
        assert!(claims.allows("a=b", "*=?"));
        assert!(!claims.allows("a=b", "x=?"));
        assert!(claims.allows("c*", "x"));
        assert!(!claims.allows("cd", "x"));
    }

    #[test]
    fn lists_every_invalid_entry() {
        let error = Claims::new(["", "=prod", " env", r"a=b\", r"a\", "ok"], Otherwise::Drop).unwrap_err();
        assert_eq!(error.problems().count(), 5, "{error}");
        assert!(
            error.to_string().contains(r#"invalid claim " env": expected no white space around the key"#),
            "{error}"
        );
    }
}
