//! TOML as a tree.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    super::problem::Problem,
    node::{Entry, Node, Value},
};

/// Parses TOML, and returns all errors of its syntax.
pub(super) fn parse(text: &str) -> (Node<'_>, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let problems = errors.into_iter().map(|error| {
        let message = format!("invalid TOML: {}", error.message());
        Problem::at(Vec::new(), error.span().unwrap_or_default(), message)
    });
    let span = table.span();
    (Node { span, value: from_table(table.into_inner()) }, problems.collect())
}

fn from_table(table: DeTable<'_>) -> Value<'_> {
    let entries = table.into_iter().map(|(key, value)| {
        let key_span = key.span();
        Entry { key: key.into_inner(), key_span, node: from_value(value) }
    });
    let mut entries: Vec<Entry<'_>> = entries.collect();
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    Value::Table(entries)
}

/// The depth is limited by the parser.
fn from_value(value: Spanned<DeValue<'_>>) -> Node<'_> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(time) => Value::Time(time.to_string()),
        DeValue::Array(items) => Value::List(items.into_iter().map(from_value).collect()),
        DeValue::Table(table) => from_table(table),
    };
    Node { span, value }
}
