//! Values of a configuration with their paths.

use std::{ops::Range, time::SystemTime};

use crate::ConfigError;

use super::{
    super::{
        closest::closest,
        problem::{Problem, Problems},
        quote::{may_be_secret, quoted, without_secrets},
    },
    node::{Entry, Node, Value, find},
    timestamp,
};

/// A value of a configuration, and the way to it.
#[derive(Clone)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
    /// The part of the text to which problems refer.
    span: Range<usize>,
    pub(super) node: &'a Node<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    pub(super) fn root(node: &'a Node<'a>) -> Self {
        Self { parent: None, step: Step::Root, span: node.span.clone(), node }
    }

    /// Returns the last name of the path.
    pub(crate) fn name(&self) -> &'a str {
        if let Step::Key(name) = self.step { name } else { "" }
    }

    /// Returns the path from the root.
    pub(super) fn path(&self) -> Vec<String> {
        let mut path = self.parent.map(Self::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(name) => path.push(name.to_owned()),
            Step::Item(at) => path.push(at.to_string()),
        }
        path
    }

    pub(crate) fn fail(&self, problems: &mut Problems, message: impl Into<String>) {
        problems.push(Problem::at(self.path(), self.span.clone(), message));
    }

    /// Adds the problems of an error, without the value and quoted names if they look like secrets.
    pub(crate) fn fail_with(&self, problems: &mut Problems, error: &ConfigError) {
        let secret = self.text_if_any().map(str::trim).filter(|text| may_be_secret(text));
        for (_, message) in error.problems() {
            let message = secret.map_or_else(|| message.to_owned(), |secret| message.replace(secret, "…"));
            self.fail(problems, without_secrets(&message));
        }
    }

    fn fail_kind(&self, problems: &mut Problems, expected: &str) {
        self.fail(problems, format!("expected {expected}, found {}", self.node.kind()));
    }

    pub(crate) fn text(&self, problems: &mut Problems) -> Option<&'a str> {
        if let Value::Text(text) = &self.node.value {
            return Some(text);
        }
        self.fail_kind(problems, "a string");
        None
    }

    /// Returns the value if it is a string.
    pub(crate) fn text_if_any(&self) -> Option<&'a str> {
        if let Value::Text(text) = &self.node.value { Some(text) } else { None }
    }

    pub(crate) fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        if let Value::Boolean(value) = self.node.value {
            return Some(value);
        }
        self.fail_kind(problems, "true or false");
        None
    }

    pub(crate) fn count(&self, problems: &mut Problems) -> Option<usize> {
        let Value::Integer(number) = self.node.value else {
            self.fail_kind(problems, "a positive integer");
            return None;
        };
        let count = number.and_then(|number| usize::try_from(number).ok()).filter(|count| *count > 0);
        if count.is_none() {
            self.fail(problems, "expected a positive integer");
        }
        count
    }

    /// Returns a number with or without decimals.
    #[cfg(feature = "limit")]
    pub(crate) fn number(&self, problems: &mut Problems) -> Option<f64> {
        let found = self.number_if_any();
        if found.is_none() {
            self.fail_kind(problems, "a number");
        }
        found
    }

    /// Returns the value if it is a number.
    #[cfg(feature = "limit")]
    #[allow(clippy::cast_precision_loss, reason = "settings are small numbers")]
    pub(crate) fn number_if_any(&self) -> Option<f64> {
        match self.node.value {
            Value::Integer(number) => number.map(|number| number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn time(&self, problems: &mut Problems) -> Option<SystemTime> {
        let text = match &self.node.value {
            Value::Time(text) => text.as_str(),
            Value::Text(text) => text,
            _ => "",
        };
        let time = timestamp::parse(text);
        if time.is_none() {
            self.fail(problems, "expected a time with an offset, such as 2027-06-30T00:00:00Z");
        }
        time
    }

    /// Returns the value that has this name in a list of choices.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let text = self.text(problems)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.fail(problems, format!("expected {}{}", one_of(&names), hint(text, &names)));
        }
        found
    }

    pub(crate) fn list<'p>(&'p self, problems: &mut Problems) -> Vec<Place<'p>> {
        let Value::List(items) = &self.node.value else {
            self.fail_kind(problems, "a list");
            return Vec::new();
        };
        let item = |(at, node): (usize, &'p Node<'p>)| Place {
            parent: Some(self),
            step: Step::Item(at),
            span: node.span.clone(),
            node,
        };
        items.iter().enumerate().map(item).collect()
    }

    /// Returns the members of a table. Keys that are not known are problems.
    pub(crate) fn table<'p>(&'p self, known: &[&str], problems: &mut Problems) -> Table<'p> {
        let table = self.any_table(problems);
        for entry in table.entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            let (shown, hint) = (quoted(&entry.key), hint(&entry.key, known));
            let hint = if hint.is_empty() { format!(": expected {}", one_of(known)) } else { hint };
            let place = Place { span: entry.key_span.clone(), ..table.place_of(entry) };
            place.fail(problems, format!("unknown key {shown}{hint}"));
        }
        table
    }

    /// Returns the members of a table with any keys.
    pub(crate) fn any_table<'p>(&'p self, problems: &mut Problems) -> Table<'p> {
        if let Value::Table(entries) = &self.node.value {
            return Table { place: self, entries };
        }
        self.fail_kind(problems, "a table");
        Table { place: self, entries: &[] }
    }
}

/// The members of a table.
pub(crate) struct Table<'a> {
    pub(crate) place: &'a Place<'a>,
    entries: &'a [Entry<'a>],
}

impl<'a> Table<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<Place<'a>> {
        find(self.entries, key).map(|entry| self.place_of(entry))
    }

    /// Returns a member that must exist.
    pub(crate) fn require(&self, key: &str, problems: &mut Problems) -> Option<Place<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.place.fail(problems, format!("expected the key {key:?}"));
        }
        found
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Place<'a>> {
        self.entries.iter().map(|entry| self.place_of(entry))
    }

    fn place_of(&self, entry: &'a Entry<'a>) -> Place<'a> {
        let span = entry.node.place(&entry.key_span);
        Place { parent: Some(self.place), step: Step::Key(&entry.key), span, node: &entry.node }
    }
}

fn one_of(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    match names.as_slice() {
        [] => "no keys".to_owned(),
        [only] => only.clone(),
        [first, second] => format!("{first} or {second}"),
        [others @ .., last] => format!("{}, or {last}", others.join(", ")),
    }
}

fn hint(name: &str, known: &[&str]) -> String {
    closest(name, known.iter().copied()).map(|close| format!(": did you mean {close:?}?")).unwrap_or_default()
}
