//! A configuration as a tree, whatever its format.

use std::{borrow::Cow, ops::Range};

#[cfg(feature = "schema")]
use serde_json::{Map, Number, Value as Json};

/// A value and its place in the text, in bytes.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) span: Range<usize>,
    pub(super) value: Value<'t>,
}

/// The values of both formats.
#[derive(Debug)]
pub(super) enum Value<'t> {
    Null,
    Text(Cow<'t, str>),
    /// A date, time, or both, as TOML writes it.
    Time(String),
    /// `None` if the number is too large.
    Integer(Option<i64>),
    #[cfg_attr(
        not(any(feature = "limit", feature = "schema")),
        expect(dead_code, reason = "only schemas and limits have such numbers")
    )]
    Float(f64),
    Boolean(bool),
    List(Vec<Node<'t>>),
    /// Sorted by key.
    Table(Vec<Entry<'t>>),
}

/// A member of a table.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node<'t>,
}

impl Node<'_> {
    /// Returns the kind of value, with an article.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Text(_) => "a string",
            Value::Time(_) => "a time",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "a boolean",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// Returns the place of a path, or of its longest part that exists. The place of a table or list is its key.
    pub(super) fn locate(&self, path: &[String]) -> Range<usize> {
        let (mut node, mut place) = (self, self.span.start..self.span.start);
        for name in path {
            let (next, key_span) = match &node.value {
                Value::Table(entries) => match find(entries, name) {
                    Some(entry) => (&entry.node, &entry.key_span),
                    None => break,
                },
                Value::List(items) => match name.parse::<usize>().ok().and_then(|at| items.get(at)) {
                    Some(item) => (item, &item.span),
                    None => break,
                },
                _ => break,
            };
            node = next;
            place = node.place(key_span);
        }
        place
    }

    /// Returns the place to report for a member of a table.
    pub(super) fn place(&self, key_span: &Range<usize>) -> Range<usize> {
        let is_container = matches!(self.value, Value::Table(_) | Value::List(_));
        if is_container { key_span.clone() } else { self.span.clone() }
    }

    /// Returns the value as JSON.
    #[cfg(feature = "schema")]
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null | Value::Integer(None) => Json::Null,
            Value::Text(text) => Json::String(text.clone().into_owned()),
            Value::Time(text) => Json::String(text.clone()),
            Value::Integer(Some(number)) => Json::from(*number),
            Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::Boolean(value) => Json::Bool(*value),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Table(entries) => {
                let members = entries.iter().map(|entry| (entry.key.clone().into_owned(), entry.node.to_json()));
                Json::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

/// Returns the member with a key.
pub(super) fn find<'n, 't>(entries: &'n [Entry<'t>], key: &str) -> Option<&'n Entry<'t>> {
    let at = entries.binary_search_by(|entry| (*entry.key).cmp(key)).ok()?;
    entries.get(at)
}
