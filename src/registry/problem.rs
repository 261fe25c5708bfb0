//! Problems of a registry's definition, each with its place.

use std::{fmt::Write, ops::Range};

use crate::{ConfigError, config_error::ConfigProblems};

use super::quote::quoted;

/// A problem of a definition.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The names on the way to the place, such as `["api_keys", "web", "workspace"]`. Entries of lists are numbers from 0.
    pub(crate) path: Vec<String>,
    /// The place in the text, in bytes. Without it, the path leads to the place.
    pub(crate) span: Option<Range<usize>>,
    pub(crate) message: String,
    /// The problem cannot follow from a value that could not be read.
    pub(crate) is_certain: bool,
}

impl Problem {
    /// Creates a problem at a part of the text.
    pub(crate) fn at(path: Vec<String>, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { path, span: Some(span), message: message.into(), is_certain: true }
    }

    fn new(path: &[&str], message: impl Into<String>) -> Self {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        Self { path, span: None, message: message.into(), is_certain: false }
    }

    /// Returns the path as text: `api_keys.web.workspace`.
    pub(crate) fn path_text(&self) -> String {
        let mut text = String::new();
        for name in &self.path {
            if !text.is_empty() {
                text.push('.');
            }
            let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            let shown = quoted(name);
            let bare = Some(name.as_str()).filter(|_| is_bare && !name.is_empty() && shown.contains(name.as_str()));
            let _ = text.write_str(bare.unwrap_or(&shown));
        }
        text
    }
}

/// The problems of a definition so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem at a path.
    pub(crate) fn add(&mut self, path: &[&str], message: impl Into<String>) {
        self.push(Problem::new(path, message));
    }

    /// Adds a problem that cannot follow from a value that could not be read.
    pub(crate) fn add_certain(&mut self, path: &[&str], message: impl Into<String>) {
        self.push(Problem { is_certain: true, ..Problem::new(path, message) });
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// Returns an error that lists all problems with their paths.
    pub(crate) fn into_result(self) -> Result<(), ConfigError> {
        let mut problems = ConfigProblems::default();
        for problem in self.0 {
            problems.push(ConfigError::new(format!("{}: {}", problem.path_text(), problem.message)));
        }
        problems.into_result()
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}
