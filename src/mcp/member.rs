use serde_json::{Map, Number, Value, json};

/// A member of an object of an answer: its name, its type, and its meaning.
///
/// The schema and the values follow from the same list, so that values always match the schema, also if an API sends numbers
/// as text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    kind: Kind,
    text: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    /// Any JSON.
    Any,
}

impl Member {
    pub(crate) const fn number(name: &'static str, text: &'static str) -> Self {
        Self { name, kind: Kind::Number, text }
    }

    pub(crate) const fn text(name: &'static str, text: &'static str) -> Self {
        Self { name, kind: Kind::Text, text }
    }

    pub(crate) const fn any(name: &'static str, text: &'static str) -> Self {
        Self { name, kind: Kind::Any, text }
    }

    fn schema(self) -> Value {
        match self.kind {
            Kind::Number => json!({ "type": ["number", "null"], "description": self.text }),
            Kind::Text => json!({ "type": ["string", "null"], "description": self.text }),
            Kind::Any => json!({ "description": self.text }),
        }
    }

    fn value(self, value: Option<&Value>) -> Value {
        match (self.kind, value) {
            (_, None) => Value::Null,
            (Kind::Number, Some(value)) => number(value).map_or(Value::Null, Value::Number),
            (Kind::Text, Some(value)) => text(value).map_or(Value::Null, Value::String),
            (Kind::Any, Some(value)) => value.clone(),
        }
    }
}

/// Returns a number that may be written as text.
pub(crate) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => {
            let text = text.trim();
            text.parse::<u64>().ok().map(Number::from).or_else(|| Number::from_f64(text.parse().ok()?))
        }
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Returns the members of an object. Unknown ones are `null`.
pub(crate) fn members(object: Option<&Value>, members: &[Member]) -> Map<String, Value> {
    let value = |member: &Member| (member.name.to_owned(), member.value(object.and_then(|it| it.get(member.name))));
    members.iter().map(value).collect()
}

/// Returns the schema of an object with these members.
pub(crate) fn object_schema(members: &[Member], text: &str) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|member| (member.name.to_owned(), member.schema())).collect();
    let required: Vec<&str> = members.iter().map(|member| member.name).collect();
    json!({ "type": "object", "description": text, "properties": properties, "required": required })
}
