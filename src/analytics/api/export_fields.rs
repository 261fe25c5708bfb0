use serde_json::{Map, Value, json};

use crate::row::EventRow;

use super::{
    api_error::ApiError,
    cents::cents,
    log_shape::{shown_trace_id, time_text, total_units, url},
    restrictions::{FIELDS, Restrictions},
};

/// Returns the fields that a request names, or all that are allowed.
///
/// # Errors
/// Returns an error if a field does not exist, or shows something that is denied.
pub(crate) fn requested(names: Option<Vec<String>>, denied: &Restrictions) -> Result<Vec<&'static str>, ApiError> {
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Ok(names_of_fields().filter(|field| !denied.denies_field(field)).collect());
    };
    let field = |name: &String| {
        let field = names_of_fields().find(|field| field == name);
        let field = field.ok_or_else(|| {
            ApiError::invalid(format!(
                "unknown field {name:?} in requested_data: expected some of {}",
                names_of_fields().collect::<Vec<_>>().join(", ")
            ))
        })?;
        if denied.denies_field(field) {
            Err(ApiError::forbidden(format!("no export contains the field {field}")))
        } else {
            Ok(field)
        }
    };
    let mut fields = Vec::new();
    for name in &names {
        let field = field(name)?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Ok(fields)
}

fn names_of_fields() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|(name, _)| *name)
}

/// Returns a line of an export. Denied tags are left out. Unknown values are `null`.
pub(crate) fn line(row: &EventRow, fields: &[&'static str], denied: &Restrictions) -> String {
    let members = fields.iter().map(|field| ((*field).to_owned(), value(row, field, denied)));
    let mut line = Value::Object(members.collect()).to_string();
    line.push('\n');
    line
}

fn value(row: &EventRow, field: &str, denied: &Restrictions) -> Value {
    match field {
        "id" => json!(row.id.to_string()),
        "trace_id" => json!(shown_trace_id(row)),
        "created_at" => json!(time_text(row.requested_at)),
        // Bodies and headers are not stored.
        "request" => json!({ "method": row.request_method, "url": url(row) }),
        "response" => json!({ "status": row.status_code, "response_time": row.response_time_ms }),
        "is_success" => json!(!row.is_error),
        "ai_org" => json!(row.provider),
        "ai_model" => json!(row.model),
        "req_units" => json!(row.input_tokens),
        "res_units" => json!(row.output_tokens),
        "total_units" => json!(total_units(row)),
        "request_url" => json!(url(row)),
        "cost" => json!(row.total_cost_nanos.map(cents)),
        "cost_currency" => json!("USD"),
        "response_time" => json!(row.response_time_ms),
        "response_status_code" => json!(row.status_code),
        "metadata" => {
            let allowed = row.raw_metadata.iter().filter(|(key, _)| !denied.denied().has_key(key));
            Value::Object(allowed.map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>())
        }
        // There are no modes, configs, and prompts.
        _ => Value::Null,
    }
}
