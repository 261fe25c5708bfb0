use std::{env, fmt};

/// An error in the configuration of a layer.
///
/// Builders collect every problem that they find, so that one error lists all of them. Its text is a single line that
/// joins the problems with `; `.
///
/// ```
/// use tower_tagging::TagSources;
///
/// let error = TagSources::new().prefix("x tag").allow_list("x-user-id, cookie").check().unwrap_err();
/// assert_eq!(error.problems().count(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    variable: Option<&'static str>,
    message: String,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { variable: None, message: message.into() }] }
    }

    /// Attributes every problem to an environment variable.
    pub(crate) fn in_variable(mut self, name: &'static str) -> Self {
        for problem in &mut self.problems {
            problem.variable = Some(name);
        }
        self
    }

    /// Returns all problems.
    ///
    /// Each has a description and, if any, its environment variable.
    pub fn problems(&self) -> impl ExactSizeIterator<Item = (Option<&str>, &str)> {
        self.problems.iter().map(|problem| (problem.variable, problem.message.as_str()))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Problem { variable, message }) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            if let Some(variable) = variable {
                write!(f, "{variable}: ")?;
            }
            f.write_str(message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The problems that a builder has collected so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigProblems(Vec<Problem>);

impl ConfigProblems {
    pub(crate) fn push(&mut self, error: ConfigError) {
        self.0.extend(error.problems);
    }

    /// Returns the value, or records the error and returns `None`.
    pub(crate) fn take<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Returns an error that lists all problems, if there are any.
    pub(crate) fn into_result(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError { problems: self.0 }) }
    }
}

/// Reads an environment variable. Returns `None` if it is unset or blank.
pub(crate) fn env_var(name: &'static str) -> Result<Option<String>, ConfigError> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(ConfigError::new("the value is not valid UTF-8").in_variable(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, ConfigProblems};

    #[test]
    fn joins_problems_into_one_line() {
        let mut problems = ConfigProblems::default();
        assert_eq!(problems.take(Ok(1)), Some(1));
        assert!(problems.clone().into_result().is_ok());
        problems.push(ConfigError::new("first"));
        assert_eq!(problems.take::<()>(Err(ConfigError::new("second").in_variable("VARIABLE"))), None);
        let error = problems.into_result().unwrap_err();
        assert_eq!(error.to_string(), "first; VARIABLE: second");
        assert!(error.problems().eq([(None, "first"), (Some("VARIABLE"), "second")]));
    }
}
