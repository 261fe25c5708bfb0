//! JSON as a tree.

use std::{fmt, ops::Range};

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::decode_string;

use super::{
    super::{problem::Problem, quote::quoted},
    node::{Entry, Node, Value},
    position::Lines,
};

/// The maximum depth of tables and lists.
const MAX_DEPTH: usize = 64;

/// Parses JSON. Returns the first error of its syntax, and all duplicate keys.
pub(super) fn parse<'t>(text: &'t str, lines: &Lines<'_>) -> (Node<'t>, Vec<Problem>) {
    let mut parser = Parser { text, problems: Vec::new() };
    let node = match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => parser.node(raw, 0),
        Err(error) => {
            let at = lines.offset(error.line(), error.column());
            parser.fail(at..at, format!("invalid JSON: {}", without_position(&error)));
            Node { span: 0..0, value: Value::Table(Vec::new()) }
        }
    };
    (node, parser.problems)
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned()
}

struct Parser<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> Parser<'t> {
    fn fail(&mut self, span: Range<usize>, message: String) {
        self.problems.push(Problem::at(Vec::new(), span, message));
    }

    /// Returns the place of a part of the text.
    fn span(&self, raw: &str) -> Range<usize> {
        let start = (raw.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        start..start + raw.len()
    }

    fn node(&mut self, raw: &'t RawValue, depth: usize) -> Node<'t> {
        let text = raw.get();
        let span = self.span(text);
        let value = match text.as_bytes().first() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => {
                self.fail(span.clone(), format!("expected at most {MAX_DEPTH} levels"));
                Value::Null
            }
            Some(b'{') => self.table(text, depth),
            Some(b'[') => {
                let items = (&mut serde_json::Deserializer::from_str(text)).deserialize_seq(Items).unwrap_or_default();
                Value::List(items.into_iter().map(|item| self.node(item, depth + 1)).collect())
            }
            Some(b'"') => decode_string(text).map_or_else(
                || {
                    self.fail(span.clone(), "invalid JSON: invalid string".to_owned());
                    Value::Null
                },
                Value::Text,
            ),
            Some(b't') => Value::Boolean(true),
            Some(b'f') => Value::Boolean(false),
            Some(b'n') | None => Value::Null,
            Some(_) if text.contains(['.', 'e', 'E']) => Value::Float(text.parse().unwrap_or(f64::NAN)),
            Some(_) => Value::Integer(text.parse().ok()),
        };
        Node { span, value }
    }

    fn table(&mut self, text: &'t str, depth: usize) -> Value<'t> {
        let members = (&mut serde_json::Deserializer::from_str(text)).deserialize_map(Members).unwrap_or_default();
        let mut entries: Vec<Entry<'t>> = Vec::with_capacity(members.len());
        for (key, value) in members {
            let key_span = self.span(key.get());
            match decode_string(key.get()) {
                Some(key) => entries.push(Entry { key, key_span, node: self.node(value, depth + 1) }),
                None => self.fail(key_span, "invalid JSON: invalid string".to_owned()),
            }
        }
        // The sort is stable, so that the first of equal keys is kept.
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        entries.dedup_by(|entry, kept| {
            let is_duplicate = entry.key == kept.key;
            if is_duplicate {
                self.fail(entry.key_span.clone(), format!("duplicate key {}", quoted(&entry.key)));
            }
            is_duplicate
        });
        Value::Table(entries)
    }
}

struct Items;

impl<'t> Visitor<'t> for Items {
    type Value = Vec<&'t RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

struct Members;

impl<'t> Visitor<'t> for Members {
    type Value = Vec<(&'t RawValue, &'t RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
