//! A validator for the part of JSON Schema that `event.schema.json` uses.
//!
//! A complete validator would be one more dependency to compile with every example. This one panics on unsupported
//! keywords, so that a change to the schema cannot silently weaken the tests.

use serde_json::{Map, Value};

/// Returns one line per violation, with the path of the value and the problem.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "$", &mut found);
    found
}

fn check(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if let Value::Bool(accepts) = schema {
        if !accepts {
            found.push(format!("{place}: not allowed by the schema: {value}"));
        }
        return;
    }
    let schema = schema.as_object().expect("a schema is an object or a boolean");
    for (keyword, argument) in schema {
        let is_valid = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => has_type(argument, value),
            "const" => argument == value,
            "enum" => argument.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches_pattern(argument.as_str().unwrap(), text)),
            "format" => value.as_str().is_none_or(|text| has_format(argument.as_str().unwrap(), text)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= argument.as_u64().unwrap()),
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(argument, item, &format!("{place}[{at}]"), found);
                }
                true
            }
            "required" => value.as_object().is_none_or(|object| {
                argument.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "properties" => {
                for (name, schema) in argument.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        check(schema, member, &format!("{place}.{name}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                for (name, member) in additional(schema, value) {
                    check(argument, member, &format!("{place}.{name}"), found);
                }
                true
            }
            other => {
                panic!("event.schema.json uses the keyword {other:?}, which tests/common/schema.rs does not support")
            }
        };
        if !is_valid {
            found.push(format!("{place}: violates {keyword} {argument}: {value}"));
        }
    }
}

/// Returns the members of an object that are not listed in `properties`.
fn additional<'a>(schema: &Map<String, Value>, value: &'a Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let is_listed = |name: &str| schema.get("properties").is_some_and(|properties| properties.get(name).is_some());
    value.as_object().into_iter().flatten().filter(move |(name, _)| !is_listed(name))
}

fn has_type(types: &Value, value: &Value) -> bool {
    match types {
        Value::Array(types) => types.iter().any(|single| has_type(single, value)),
        Value::String(name) => match name.as_str() {
            "array" => value.is_array(),
            "boolean" => value.is_boolean(),
            "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            "null" => value.is_null(),
            "number" => value.is_number(),
            "object" => value.is_object(),
            "string" => value.is_string(),
            other => panic!("unknown type {other:?}"),
        },
        other => panic!("not a type: {other}"),
    }
}

/// Supports patterns of the form `^[0-9a-f]{32}$`.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let length = pattern.strip_prefix("^[0-9a-f]{").and_then(|rest| rest.strip_suffix("}$"));
    let length: usize = length.and_then(|length| length.parse().ok()).expect("an unsupported pattern");
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn has_format(format: &str, text: &str) -> bool {
    match format {
        "date-time" => humantime::parse_rfc3339(text).is_ok(),
        "uuid" => {
            let groups: Vec<_> = text.split('-').map(str::len).collect();
            groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        }
        other => panic!("unsupported format {other:?}"),
    }
}
