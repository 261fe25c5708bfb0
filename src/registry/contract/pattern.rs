use std::{fmt, sync::Arc};

use jsonschema::{Draft, PatternOptions, Validator, options_for};
use serde_json::json;

use super::text_json::{Text, TextJson};

/// The maximum number of steps of a pattern with look-around or back-references. Other patterns take linear time.
const MAX_STEPS: usize = 100_000;

/// A compiled keyword `pattern`.
#[derive(Clone)]
pub(super) struct Pattern {
    text: String,
    validator: Arc<Validator<TextJson>>,
}

impl Pattern {
    /// Compiles a pattern. Returns `None` if it is not a valid regular expression.
    pub(super) fn new(text: &str) -> Option<Self> {
        let options = options_for::<TextJson>()
            .with_draft(Draft::Draft7)
            .offline()
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(MAX_STEPS));
        let validator = options.build(&json!({ "pattern": text })).ok()?;
        Some(Self { text: text.to_owned(), validator: Arc::new(validator) })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns `true` if the pattern matches anywhere in the value.
    pub(super) fn is_match(&self, value: &str) -> bool {
        self.validator.is_valid(Text(value))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
