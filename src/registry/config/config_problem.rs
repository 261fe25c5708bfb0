use std::fmt;

use crate::{ConfigError, config_error::ConfigProblems};

/// A problem of a configuration file.
///
/// Its text has the form that editors and terminals recognize: `gateway.toml:12:5: unknown key "workspce": did you mean
/// "workspace"?`. It never quotes a value, because the value may be a secret that is in the wrong place.
///
/// Problems are ordered by file, line, and column, so that those of several modules can be sorted into one list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The path of the file, if any.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The place in the configuration, such as `api_keys.web.workspace`. Empty for errors of syntax.
    pub path: String,
    /// The problem.
    pub message: String,
}

impl ConfigProblem {
    /// Returns an error that lists problems.
    pub(crate) fn error_of(problems: &[Self]) -> ConfigError {
        let mut error = ConfigProblems::default();
        problems.iter().for_each(|problem| error.push(ConfigError::new(problem.to_string())));
        error.into_result().err().unwrap_or_else(|| ConfigError::new("invalid configuration"))
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}
