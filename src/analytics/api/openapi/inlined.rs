use serde_json::{Map, Value};

use super::document::DOCUMENT;

/// References deeper than this are left out. No schema of the document refers to itself.
const MAX_DEPTH: usize = 16;

/// Returns a schema of the document as one JSON Schema, without references. `format` is left out, because its values are those
/// of OpenAPI.
pub(crate) fn inlined_schema(name: &str) -> Value {
    let document: Value = serde_json::from_str(&DOCUMENT).unwrap_or_default();
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object).cloned().unwrap_or_default();
    schemas.get(name).map_or(Value::Null, |schema| inline(schema, &schemas, MAX_DEPTH))
}

fn inline(schema: &Value, schemas: &Map<String, Value>, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Object(Map::new()) };
    match schema {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            if let Some(target) = reference.and_then(|name| schemas.get(name)) {
                return inline(target, schemas, depth);
            }
            let is_kept = |name: &str| name != "format" || !members.contains_key("type");
            let members = members.iter().filter(|(name, _)| is_kept(name));
            members.map(|(name, value)| (name.clone(), inline(value, schemas, depth))).collect()
        }
        Value::Array(items) => items.iter().map(|item| inline(item, schemas, depth)).collect(),
        other => other.clone(),
    }
}
