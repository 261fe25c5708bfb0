use std::collections::HashMap;

use crate::{
    config_error::{ConfigError, ConfigProblems},
    metadata::USER_KEY,
};

use super::{key_style::KeyStyle, names::Names};

/// Builds [`Names`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct NamesBuilder {
    aliases: Vec<(String, String)>,
    style: KeyStyle,
}

impl Names {
    /// Creates a builder.
    pub fn builder() -> NamesBuilder {
        NamesBuilder::default()
    }
}

impl NamesBuilder {
    /// Stores tags with the key `alias` under `key`.
    pub fn alias(mut self, alias: impl Into<String>, key: impl Into<String>) -> Self {
        self.aliases.push((alias.into(), key.into()));
        self
    }

    /// Sets the style of keys.
    pub fn style(mut self, style: KeyStyle) -> Self {
        self.style = style;
        self
    }

    /// Builds the rules.
    ///
    /// # Errors
    ///
    /// Returns an error that lists every alias that is empty, is `_user`, has an empty key, has two keys, or whose key is itself
    /// an alias.
    pub fn build(self) -> Result<Names, ConfigError> {
        let mut problems = ConfigProblems::default();
        let mut aliases: HashMap<String, String> = HashMap::with_capacity(self.aliases.len());
        for (alias, key) in &self.aliases {
            if alias == USER_KEY {
                let problem = format!("invalid alias \"{alias}\": it is the key of users, and keeps its name");
                problems.push(ConfigError::new(problem));
            } else if alias.is_empty() {
                problems.push(ConfigError::new(format!("invalid alias for \"{key}\": expected a name, found none")));
            } else if key.is_empty() {
                problems.push(ConfigError::new(format!("invalid alias \"{alias}\": expected a key, found none")));
            } else if let Some(other) = aliases.insert(alias.clone(), key.clone()).filter(|other| other != key) {
                let problem = format!("alias \"{alias}\" has two keys, \"{other}\" and \"{key}\": expected one");
                problems.push(ConfigError::new(problem));
            }
        }
        for (alias, key) in &self.aliases {
            let problem = if alias == key && !alias.is_empty() {
                format!("alias \"{alias}\" stands for itself: remove it")
            } else if let Some(last) = aliases.get(key) {
                format!("alias \"{alias}\" stands for \"{key}\", which is an alias for \"{last}\": use the last key")
            } else {
                continue;
            };
            problems.push(ConfigError::new(problem));
        }
        problems.into_result()?;
        Ok(Names { aliases, style: self.style })
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn lists_every_invalid_alias() {
        let builder = Names::builder()
            .alias("", "a")
            .alias("b", "")
            .alias("c", "c")
            .alias("d", "e")
            .alias("d", "f")
            .alias("g", "h")
            .alias("h", "g")
            .alias("i", "d")
            .alias("_user", "user");
        let error = builder.build().unwrap_err();
        let problems: Vec<_> = error.problems().map(|(_, problem)| problem.to_owned()).collect();
        assert_eq!(
            problems,
            [
                "invalid alias for \"a\": expected a name, found none",
                "invalid alias \"b\": expected a key, found none",
                "alias \"d\" has two keys, \"e\" and \"f\": expected one",
                "invalid alias \"_user\": it is the key of users, and keeps its name",
                "alias \"c\" stands for itself: remove it",
                "alias \"g\" stands for \"h\", which is an alias for \"g\": use the last key",
                "alias \"h\" stands for \"g\", which is an alias for \"h\": use the last key",
                "alias \"i\" stands for \"d\", which is an alias for \"f\": use the last key",
            ]
        );
    }

    #[test]
    fn repeated_aliases_are_fine() {
        let names = Names::builder().alias("a", "b").alias("a", "b").alias("c", "b").build().unwrap();
        assert_eq!(names.aliases().count(), 2);
    }
}
