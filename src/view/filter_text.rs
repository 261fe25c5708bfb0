//! Conditions as they are written in URLs: `team:is:search`.

use std::fmt;

use crate::analytics::{Dimension, Field, Filter, QueryError};

/// A condition of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) dimension: Dimension,
    pub(crate) operator: Operator,
    /// Empty for `has` and `has-not`, and for the empty value.
    pub(crate) value: String,
}

/// The comparison of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Is,
    IsNot,
    StartsWith,
    Has,
    HasNot,
}

impl Operator {
    pub(crate) const ALL: [Self; 5] = [Self::Is, Self::IsNot, Self::StartsWith, Self::Has, Self::HasNot];

    /// Returns the name in URLs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Is => "is",
            Self::IsNot => "is-not",
            Self::StartsWith => "starts",
            Self::Has => "has",
            Self::HasNot => "has-not",
        }
    }

    /// Returns the words on the page.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Is => "is",
            Self::IsNot => "is not",
            Self::StartsWith => "starts with",
            Self::Has => "is set",
            Self::HasNot => "is not set",
        }
    }

    pub(crate) const fn has_value(self) -> bool {
        !matches!(self, Self::Has | Self::HasNot)
    }
}

impl Condition {
    pub(crate) const OPERATORS: [Operator; 5] = Operator::ALL;
    /// The text of the empty value on pages.
    pub(crate) const EMPTY: &'static str = "(empty)";

    /// Returns the name of the dimension, as in URLs. Statuses and their classes have one name.
    pub(crate) fn name(&self) -> String {
        let is_class = self.dimension == Dimension::Field(Field::StatusClass) && is_class(&self.value);
        if is_class { Field::Status.to_string() } else { short_name(&self.dimension) }
    }

    /// Returns the text of the value on pages.
    pub(crate) fn label(&self) -> String {
        let is_empty = self.operator.has_value() && self.value.is_empty();
        if is_empty { Self::EMPTY.to_owned() } else { self.value.clone() }
    }

    /// Returns the condition that a value is the one of a group. `None` is a group without a value.
    pub(crate) fn of_group(dimension: &Dimension, value: Option<&str>) -> Self {
        let operator = if value.is_some() { Operator::Is } else { Operator::HasNot };
        Self { dimension: dimension.clone(), operator, value: value.unwrap_or_default().to_owned() }
    }

    /// Returns the conditions that the values are those of a group.
    pub(crate) fn of_groups(dimensions: &[Dimension], values: &[Option<String>]) -> Vec<Self> {
        dimensions.iter().zip(values).map(|(dimension, value)| Self::of_group(dimension, value.as_deref())).collect()
    }

    /// Reads a condition: dimension, operator, and value, separated by colons. `team:is:` has the empty value.
    ///
    /// # Errors
    /// Returns an error that names the invalid part.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        let invalid = || QueryError::invalid(format!("invalid filter {text:?}: expected one such as team:is:search"));
        let (name, rest) = split_name(text).ok_or_else(invalid)?;
        match rest.split_once(':') {
            Some((operator @ ("is" | "is-not"), "")) => {
                let operator = if operator == "is" { Operator::Is } else { Operator::IsNot };
                Ok(Self { dimension: dimension(&name)?, operator, value: String::new() })
            }
            Some((operator, value)) => Self::new(&name, operator, value),
            None => Self::new(&name, rest, ""),
        }
    }

    /// Creates a condition from the inputs of a form.
    ///
    /// # Errors
    /// Returns an error that names the invalid part.
    pub(crate) fn new(name: &str, operator: &str, value: &str) -> Result<Self, QueryError> {
        let dimension = dimension(name)?;
        let known = Operator::ALL.into_iter().find(|known| known.as_str() == operator);
        let operator = known.ok_or_else(|| {
            let names = Operator::ALL.map(Operator::as_str).join(", ");
            QueryError::invalid(format!("unknown operator {operator:?}: expected one of {names}"))
        })?;
        if operator.has_value() == value.is_empty() {
            let problem = if value.is_empty() { "needs a value" } else { "has no value" };
            return Err(QueryError::invalid(format!("the operator {} {problem}", operator.as_str())));
        }
        // A status is a number, or a class such as `5xx`.
        let is_class_of_status = dimension == Dimension::Field(Field::Status) && is_class(value);
        let dimension = if is_class_of_status { Field::StatusClass.into() } else { dimension };
        Ok(Self { dimension, operator, value: value.to_owned() })
    }

    pub(crate) fn filter(&self) -> Filter {
        let (dimension, value) = (self.dimension.clone(), self.value.clone());
        match self.operator {
            Operator::Is => Filter::is(dimension, value),
            Operator::IsNot => Filter::is_not(dimension, value),
            Operator::StartsWith => Filter::Prefix(dimension, value),
            Operator::Has => Filter::Has(dimension),
            Operator::HasNot => Filter::HasNot(dimension),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.name().chars() {
            if matches!(letter, ':' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{letter}")?;
        }
        write!(f, ":{}", self.operator.as_str())?;
        if self.operator.has_value() { write!(f, ":{}", self.value) } else { Ok(()) }
    }
}

/// Returns the name of a dimension in URLs: a tag has its key, unless a field has the same name.
pub(crate) fn short_name(dimension: &Dimension) -> String {
    match dimension {
        Dimension::Tag(key) if Dimension::from_name(key).is_none() => key.clone(),
        other => other.to_string(),
    }
}

/// Returns `true` for a class of statuses, such as `5xx`.
fn is_class(value: &str) -> bool {
    value.ends_with("xx")
}

/// Returns the dimension with a name: a field, or else the tag with this key.
///
/// # Errors
/// Returns an error if the name is empty.
pub(crate) fn dimension(name: &str) -> Result<Dimension, QueryError> {
    let found = Dimension::from_name(name).or_else(|| Some(Dimension::tag(name)).filter(|_| !name.is_empty()));
    found.ok_or_else(|| QueryError::invalid("a filter needs a key, such as team"))
}

/// Splits a text at the first colon that is not escaped.
fn split_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            ':' => return Some((name, text.get(at + 1..)?)),
            other => name.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Condition, Operator};

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "team:is:search",
            "status:is:5xx",
            "a\\:b\\\\:starts:x:y",
            "metadata.model:is-not:1",
            "model:has",
            "x:has-not",
            "team:is:",
            "team:is-not:",
            "status_class:has",
        ] {
            assert_eq!(Condition::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Condition::parse("a\\:b:is:c:d").unwrap().value, "c:d");
        assert_eq!(Condition::parse("team:has").unwrap().operator, Operator::Has);
        assert_eq!(Condition::parse("team:is:").unwrap().label(), "(empty)");
        assert_eq!(Condition::parse("status_class:is:5xx").unwrap().to_string(), "status:is:5xx");
    }

    #[test]
    fn rejects_what_is_not_a_condition() {
        for text in ["", "team", ":is:x", "team:like:x", "team:is", "team:has:x", "team:starts:"] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
