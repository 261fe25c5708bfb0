//! The schemas of arguments and answers.

use serde_json::{Map, Value, json};
use utoipa::openapi::schema::Type;

use crate::{
    analytics::api::{Accepted, EXPORTS, FROM, GROUPS, LIMITS, SERIES, TO, VIRTUAL_KEYS, WORKSPACES, inlined_schema},
    mcp::{arguments::ZONE, tool_answer::ToolAnswer, tool_name::ToolName},
};

use super::{budgets, graphs, groups, lists};

const FROM_TEXT: &str = "The start, as ISO 8601 with an offset (2026-06-01T00:00:00Z) or as a day (2026-06-01). Or a whole range: \
     last_1h (or last_hour), last_24h, last_7d, last_30d, last_90d, last_<n>d, and last_<n>h end now, and days include today; \
     today; month_to_date (or this_month). Whole ones of the calendar, before the current one: yesterday (or last_day), \
     last_week (Monday to Sunday), and last_month. Days begin at midnight in the time zone. The default is last_30d.";
const TO_TEXT: &str = "The end, excluded, as ISO 8601 with an offset; or a day, which is included. Leave it out for now, or if the start is a range.";
const ZONE_TEXT: &str =
    "The IANA time zone of days, such as Europe/Berlin. The default is UTC unless the server has another.";

/// Returns the schema of the arguments of a tool.
pub(crate) fn input(tool: ToolName) -> Map<String, Value> {
    let (properties, required) = match tool {
        ToolName::CostAnalytics | ToolName::RequestAnalytics | ToolName::TokenAnalytics => {
            (parameters(SERIES), &[][..])
        }
        ToolName::UserSummary | ToolName::ModelSummary => {
            let mut properties = parameters(GROUPS);
            properties.insert(ZONE.to_owned(), text(ZONE_TEXT));
            (properties, &[][..])
        }
        ToolName::Workspaces => (parameters(WORKSPACES), &[][..]),
        ToolName::VirtualKeys => (with_workspace(parameters(VIRTUAL_KEYS)), &[][..]),
        ToolName::LogExports => (with_workspace(parameters(EXPORTS)), &[][..]),
        ToolName::Query => (query(), &[][..]),
        ToolName::Trace => (trace(), &["trace_id"][..]),
        ToolName::ExplainCost => (explain_cost(), &["request_id"][..]),
        ToolName::Budgets => (parameters(LIMITS), &[][..]),
    };
    object(json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false
    }))
}

/// Returns the schema of the structured answer of a tool.
pub(crate) fn output(tool: ToolName) -> Map<String, Value> {
    object(match tool {
        ToolName::CostAnalytics => graphs::COST.schema(),
        ToolName::RequestAnalytics => graphs::REQUESTS.schema(),
        ToolName::TokenAnalytics => graphs::TOKENS.schema(),
        ToolName::UserSummary => groups::schema(groups::USERS),
        ToolName::ModelSummary => groups::schema(groups::MODELS),
        ToolName::Workspaces => lists::schema(lists::WORKSPACE, "A workspace."),
        ToolName::VirtualKeys => lists::schema(lists::VIRTUAL_KEY, "A credential of a provider, without its secret."),
        ToolName::LogExports => lists::schema(lists::LOG_EXPORT, "An export of requests."),
        ToolName::Query => own_shape("Answer"),
        ToolName::Trace => {
            let mut schema = own_shape("TraceView");
            if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                let count = json!({ "type": "integer", "description": "The number of all turns of the trace." });
                properties.insert("turn_count".to_owned(), count);
            }
            schema
        }
        ToolName::ExplainCost => own_shape("LogCost"),
        ToolName::Budgets => budgets::schema(),
    })
}

/// Returns the schema of an answer that has the shape of the API of this crate.
fn own_shape(name: &str) -> Value {
    let mut schema = inlined_schema(name);
    ToolAnswer::add_to_schema(&mut schema);
    schema
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Returns the schemas of the parameters of an endpoint, as arguments.
fn parameters(accepted: Accepted) -> Map<String, Value> {
    let mut properties = Map::new();
    for parameter in accepted.iter().copied().flatten() {
        let schema = match parameter.name {
            FROM => text(FROM_TEXT),
            TO => text(TO_TEXT),
            ZONE => text(ZONE_TEXT),
            "metadata" => json!({
                "type": ["object", "string"],
                "description": "Tags that all requests have, as an object such as {\"team\": \"search\"}, or as its JSON text.",
            }),
            _ => {
                let kind = match parameter.kind {
                    Type::Integer => "integer",
                    Type::Number => "number",
                    Type::Boolean => "boolean",
                    _ => "string",
                };
                json!({ "type": kind, "description": parameter.text })
            }
        };
        properties.insert(parameter.name.to_owned(), schema);
    }
    properties
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn with_workspace(mut properties: Map<String, Value>) -> Map<String, Value> {
    let schema = text("The same as workspace_id: the slug of a workspace.");
    properties.insert(lists::WORKSPACE_SLUG.to_owned(), schema);
    properties
}

fn query() -> Map<String, Value> {
    let names = |text: &str| json!({ "type": "array", "items": { "type": "string" }, "description": text });
    let filter = json!({
        "type": "object",
        "properties": {
            "on": text("A dimension such as model or metadata.team, `trace` for a trace id, or a number such as total_tokens."),
            "op": { "type": "string", "enum": ["is", "is_not", "in", "not_in", "has", "has_not", "prefix", "between"] },
            "value": {
                "description": "A text for is, is_not, and prefix; a list of texts for in and not_in; [min, max] with null for \
                     no bound for between; none for has and has_not."
            }
        },
        "required": ["on", "op"],
        "additionalProperties": false
    });
    object(json!({
        FROM: text(FROM_TEXT),
        TO: text(TO_TEXT),
        ZONE: text(ZONE_TEXT),
        "measures": names(
            "What to compute. Such as requests, errors, error_rate, cost (US dollars), avg_cost, unpriced_requests, \
             input_tokens, output_tokens, total_tokens, cache_read_tokens, cache_hit_rate, cache_savings, avg_latency, \
             p95_latency (milliseconds), first_seen, last_seen, distinct(metadata._user), or coverage(metadata.team). The \
             default is requests."
        ),
        "group_by": names(
            "At most three dimensions: provider, model, operation, status, workspace, api_key, virtual_key, route, or a tag \
             such as metadata.team. Example: [\"model\"]."
        ),
        "bucket": {
            "type": "string",
            "enum": ["minute", "quarter_hour", "hour", "day", "week", "month", "auto"],
            "description": "The width of the points of a series. Without it, there are only sums of the whole range."
        },
        "filters": { "type": "array", "items": filter, "description": "Conditions that all requests meet." },
        "order": {
            "type": "object",
            "properties": {
                "by": text("One of the measures, or `values` for the values of the groups."),
                "descending": { "type": "boolean", "description": "The default is true, except for values." }
            },
            "required": ["by"],
            "additionalProperties": false
        },
        "limit": { "type": "integer", "description": "The number of groups, from 1 to 100. The default is 20." },
        "cursor": text("The `next` of the previous answer, for the groups after it.")
    }))
}

fn trace() -> Map<String, Value> {
    object(json!({
        "trace_id": text("The id of the trace: the W3C id with 32 hex digits, or the id that the client chose."),
        "max_turns": { "type": "integer", "description": "The number of requests in the answer, from 1 to 500. The default is 50." },
        FROM: text(&format!("{} Without it, the trace is searched in all times.", FROM_TEXT.replace(" The default is last_30d.", ""))),
        TO: text(TO_TEXT),
        ZONE: text(ZONE_TEXT)
    }))
}

fn explain_cost() -> Map<String, Value> {
    object(json!({
        "request_id": text("The id of the request, such as the id of a turn in an answer of the tool trace.")
    }))
}
