use std::{collections::HashSet, fmt};

use serde_json::{Map, Value};

use crate::Metadata;

use super::{pattern::Pattern, property::Property, schema_error::SchemaError};

/// Reads a schema and collects every problem.
#[derive(Debug, Default)]
pub(super) struct SchemaReader {
    errors: Vec<SchemaError>,
    /// In the order of the schema.
    properties: Vec<Property>,
    defaults: Metadata,
}

impl SchemaReader {
    /// Reads a whole schema.
    ///
    /// # Errors
    ///
    /// Returns every part of the schema that is not supported.
    pub(super) fn read(schema: &Value) -> Result<(Vec<Property>, Metadata), Vec<SchemaError>> {
        let mut reader = Self::default();
        match schema {
            Value::Object(schema) => reader.read_top(schema),
            other => reader.push("", format_args!("expected a schema that is an object, found {}", name_of(other))),
        }
        if reader.errors.is_empty() { Ok((reader.properties, reader.defaults)) } else { Err(reader.errors) }
    }

    fn push(&mut self, pointer: impl Into<String>, message: impl fmt::Display) {
        self.errors.push(SchemaError { pointer: pointer.into(), message: message.to_string() });
    }

    fn read_top(&mut self, schema: &Map<String, Value>) {
        match schema.get("type") {
            Some(Value::String(name)) if name == "object" => {}
            Some(_) => self.push("/type", "expected \"object\": the tags of a request are an object"),
            None => self.push("", "expected \"type\": \"object\""),
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => {}
            Some(_) => self.push("/additionalProperties", "expected true: requests may always carry other tags"),
            None => self.push("", "expected \"additionalProperties\": true"),
        }
        for (keyword, value) in schema {
            match keyword.as_str() {
                "type" | "additionalProperties" => {}
                "$schema" => self.read_version(value),
                "properties" => self.read_properties(value),
                "required" => self.read_required(value),
                other => self.push(
                    pointer("", other),
                    format_args!(
                        "unsupported keyword \"{other}\": expected $schema, type, additionalProperties, properties, or required"
                    ),
                ),
            }
        }
    }

    fn read_version(&mut self, version: &Value) {
        let name = version.as_str().map(|version| version.strip_suffix('#').unwrap_or(version));
        if name != Some("http://json-schema.org/draft-07/schema") {
            self.push("/$schema", "expected \"http://json-schema.org/draft-07/schema#\"");
        }
    }

    fn read_properties(&mut self, properties: &Value) {
        let Value::Object(properties) = properties else {
            self.push("/properties", format_args!("expected an object, found {}", name_of(properties)));
            return;
        };
        for (key, property) in properties {
            let at = pointer("/properties", key);
            match property {
                Value::Object(property) => self.read_property(key, &at, property),
                other => self.push(at, format_args!("expected an object, found {}", name_of(other))),
            }
        }
    }

    fn read_required(&mut self, required: &Value) {
        let Value::Array(keys) = required else {
            self.push("/required", format_args!("expected an array of keys, found {}", name_of(required)));
            return;
        };
        let mut seen = HashSet::new();
        for (index, key) in keys.iter().enumerate() {
            let at = || format!("/required/{index}");
            let Value::String(key) = key else {
                self.push(at(), format_args!("expected a key, found {}", name_of(key)));
                continue;
            };
            if !seen.insert(key) {
                self.push(at(), format_args!("\"{key}\" is listed twice: expected each key once"));
            }
            match self.properties.iter_mut().find(|property| property.key == *key) {
                Some(property) => property.is_required = true,
                None => self.properties.push(Property { key: key.clone(), is_required: true, ..Property::default() }),
            }
        }
    }

    fn read_property(&mut self, key: &str, at: &str, schema: &Map<String, Value>) {
        let errors_before = self.errors.len();
        let mut property = Property { key: key.to_owned(), ..Property::default() };
        let mut default = None;
        match schema.get("type") {
            Some(Value::String(name)) if name == "string" => {}
            Some(_) => self.push(pointer(at, "type"), "expected \"string\": the values of tags are strings"),
            None => self.push(at, "expected \"type\": \"string\""),
        }
        for (keyword, value) in schema {
            let at = pointer(at, keyword);
            match keyword.as_str() {
                "type" => {}
                "enum" => property.allowed = self.read_enum(&at, value),
                "default" => default = self.read_text(&at, value),
                "pattern" => property.pattern = self.read_pattern(&at, value),
                "minLength" => property.min_length = self.read_length(at, value),
                "maxLength" => property.max_length = self.read_length(at, value),
                other => self.push(
                    at,
                    format_args!(
                        "unsupported keyword \"{other}\": expected type, enum, default, pattern, minLength, or maxLength"
                    ),
                ),
            }
        }
        if let (Some(min), Some(max)) = (property.min_length, property.max_length)
            && min > max
        {
            let problem = format!("minLength {min} is greater than maxLength {max}: no value is valid");
            self.push(pointer(at, "minLength"), problem);
        }
        if let Some(default) = default.filter(|_| self.errors.len() == errors_before) {
            let mut violations = Vec::new();
            property.check(default, &mut violations);
            for violation in violations {
                let at = pointer(at, "default");
                self.push(at, format_args!("the default is not valid for the property: {}", violation.expected));
            }
            self.defaults.insert(key, default);
        }
        // `required` may have been read first.
        match self.properties.iter_mut().find(|other| other.key == key) {
            Some(other) => *other = Property { is_required: other.is_required, ..property },
            None => self.properties.push(property),
        }
    }

    fn read_text<'v>(&mut self, at: &str, value: &'v Value) -> Option<&'v str> {
        let text = value.as_str();
        if text.is_none() {
            self.push(at, format_args!("expected a string, found {}", name_of(value)));
        }
        text
    }

    fn read_enum(&mut self, at: &str, value: &Value) -> Option<Vec<String>> {
        let Value::Array(values) = value else {
            self.push(at, format_args!("expected an array of strings, found {}", name_of(value)));
            return None;
        };
        if values.is_empty() {
            self.push(at, "expected at least one value");
        }
        let texts = values.iter().enumerate().filter_map(|(index, value)| {
            let text = self.read_text(&format!("{at}/{index}"), value)?;
            Some(text.to_owned())
        });
        Some(texts.collect())
    }

    fn read_pattern(&mut self, at: &str, value: &Value) -> Option<Pattern> {
        let text = self.read_text(at, value)?;
        let pattern = Pattern::new(text);
        if pattern.is_none() {
            self.push(at, "expected a valid regular expression");
        }
        pattern
    }

    fn read_length(&mut self, at: String, value: &Value) -> Option<u64> {
        // In draft-07, `2.0` is an integer too.
        let length = value.as_u64().or_else(|| {
            let length = value.as_f64().filter(|length| *length >= 0.0 && length.fract() == 0.0)?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, and saturates at a length that no value has"
            )]
            let length = length as u64;
            Some(length)
        });
        if length.is_none() {
            self.push(at, "expected an integer that is not negative");
        }
        length
    }
}

/// Appends a reference token to a JSON Pointer (RFC 6901, section 3).
fn pointer(at: &str, token: &str) -> String {
    format!("{at}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// Returns the type of a JSON value, with an article.
fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
