use std::{error::Error, fmt};

/// Error returned when telemetry cannot be exported as configured.
///
/// Lists every problem found. Each one gives the variable or setting, its value, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtelError {
    problems: Vec<String>,
}

impl OtelError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()] }
    }

    /// Returns one error with the distinct problems of all errors, or `Ok` if there are none.
    pub(super) fn join(errors: impl IntoIterator<Item = Self>) -> Result<(), Self> {
        let mut problems: Vec<String> = Vec::new();
        for problem in errors.into_iter().flat_map(|error| error.problems) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// Returns the problems in the order in which they were found.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for OtelError {
    /// Writes all problems on one line, separated by semicolons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("; "))
    }
}

impl Error for OtelError {}
