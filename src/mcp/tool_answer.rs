use serde_json::{Map, Value, json};

use super::{answer_basis::AnswerBasis, member::Member};

/// The answer of a tool: a paragraph without words of requests, and the data.
#[derive(Clone, Debug)]
pub(crate) struct ToolAnswer {
    pub(crate) text: String,
    pub(crate) data: Value,
}

impl ToolAnswer {
    /// Adds the basis and the link to the data, and the sentences of the basis to the paragraph.
    pub(crate) fn new(
        text: impl Into<String>,
        data: Map<String, Value>,
        basis: &AnswerBasis,
        dashboard_url: Option<String>,
    ) -> Self {
        Self::of_request(format!("{}{}", text.into(), basis.sentences()), data, basis, dashboard_url)
    }

    /// Adds the basis and the link to the data of one request, whose paragraph says all about its cost.
    pub(crate) fn of_request(
        text: impl Into<String>,
        mut data: Map<String, Value>,
        basis: &AnswerBasis,
        dashboard_url: Option<String>,
    ) -> Self {
        data.insert("basis".to_owned(), json!(basis));
        data.insert("dashboard_url".to_owned(), dashboard_url.map_or(Value::Null, Value::String));
        let text = format!("{} The data is in the structured content.", text.into());
        Self { text, data: Value::Object(data) }
    }

    /// Returns the schema of the data.
    pub(crate) fn schema(properties: Value, required: &[&str]) -> Value {
        let mut schema = json!({ "type": "object", "required": required });
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("properties".to_owned(), properties);
        }
        Self::add_to_schema(&mut schema);
        schema
    }

    /// Adds the basis and the link to the schema of an object.
    pub(crate) fn add_to_schema(schema: &mut Value) {
        let link = json!({
            "type": ["string", "null"],
            "description": "The page of the dashboard that shows this answer, for the person who asked."
        });
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("basis".to_owned(), AnswerBasis::schema());
            properties.insert("dashboard_url".to_owned(), link);
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            for name in ["basis", "dashboard_url"] {
                if !required.iter().any(|other| other == name) {
                    required.push(json!(name));
                }
            }
        }
    }

    /// Returns the schema of a list of objects.
    pub(crate) fn list_of(members: &[Member], text: &str) -> Value {
        json!({ "type": "array", "items": super::member::object_schema(members, text) })
    }
}
