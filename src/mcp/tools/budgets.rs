use serde_json::{Map, Value, json};

use crate::{
    analytics::api::LIMITS,
    mcp::{
        answer_basis::AnswerBasis,
        arguments::Arguments,
        member::{Member, members, number, object_schema},
        tool_answer::ToolAnswer,
        tool_error::ToolError,
    },
};

use super::Call;

const ENDPOINT: &str = "GET /limits";

const BUDGET: &[Member] = &[
    Member::text("rule", "The name of the limit."),
    Member::text("title", "The name for people."),
    Member::text("source", "api or config."),
    Member::text("mode", "enforce, shadow (nothing is rejected), or off."),
    Member::text("type", "cost (in US dollars), tokens, requests, or the name of a quantity."),
    Member::text("window", "The window, such as month UTC."),
    Member::text("from", "The start of the window."),
    Member::text("to", "The end of the window. null if it rolls, or never ends."),
    Member::any("group", "An object with the values of the group. Empty if the limit has no groups."),
    Member::number("limit", "The limit, with raises and credits."),
    Member::number("settled", "What requests have used."),
    Member::number("reserved", "What running requests have reserved."),
    Member::number("remaining", "What is left."),
    Member::number("used_percent", "The used share of the limit, in percent."),
    Member::number(
        "projection",
        "What is settled at the end of the window, if usage continues at its current speed. null if unknown.",
    ),
    Member::number("rejected", "The requests that the limit rejected in the window. null if unknown."),
];

const RATE: &[Member] = &[
    Member::text("rule", "The name of the limit."),
    Member::text("title", "The name for people."),
    Member::text("source", "api or config."),
    Member::text("mode", "enforce, shadow (nothing is rejected), or off."),
    Member::text("type", "requests, tokens, or another quantity."),
    Member::text("unit", "rps, rpm, rph, rpd, or rpw: per second to week; concurrent; or the seconds of another time."),
    Member::number("value", "The number per time."),
    Member::any("group_by", "The keys whose values are limited on their own."),
    Member::number(
        "rejected_in_24_hours",
        "The requests that the limit rejected in the last 24 hours. null if unknown.",
    ),
];

/// Returns the schema of the answer.
pub(super) fn schema() -> Value {
    let rates = object_schema(RATE, "A limit on requests or tokens per time, or on requests at the same time.");
    let properties = json!({
        "object": { "type": "string", "const": "list" },
        "total": { "type": ["number", "null"], "description": "The number of groups of budgets on all pages." },
        "data": { "type": "array", "items": object_schema(BUDGET, "What a group has used of a budget.") },
        "rates": { "type": "array", "items": rates }
    });
    ToolAnswer::schema(properties, &["object", "total", "data", "rates"])
}

pub(super) async fn budgets(call: &Call<'_>, arguments: Option<Map<String, Value>>) -> Result<ToolAnswer, ToolError> {
    let arguments = Arguments::read(arguments, LIMITS, &[])?;
    let reply = call.get(&format!("/limits{}", arguments.query(None)?.text())).await;
    let body = reply.map_err(|error| error.or_no_endpoint(ENDPOINT, ""))?.body;
    let rows = |name: &str, row: &[Member]| -> Vec<Value> {
        let list = body.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|value| Value::Object(members(Some(value), row))).collect()
    };
    let (budgets, rates) = (rows("data", BUDGET), rows("rates", RATE));
    let percent = |row: &Value| row.get("used_percent").and_then(Value::as_f64).unwrap_or(0.0);
    let full = budgets.iter().filter(|row| percent(row) >= 100.0).count();
    let total = body.get("total").and_then(number);
    let count = total.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let text = format!(
        "{count} groups of budgets in all, {} in this answer, of which {full} are used up, and {} rates. Money is in US dollars.",
        budgets.len(),
        rates.len()
    );
    let data = Map::from_iter([
        ("object".to_owned(), json!("list")),
        ("total".to_owned(), json!(total)),
        ("data".to_owned(), Value::Array(budgets)),
        ("rates".to_owned(), Value::Array(rates)),
    ]);
    let link = call.link();
    let cut = body.get("truncated").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let notes = cut.map(|rule| {
        format!("The limit {rule} has more than 10,000 groups. Only the first 10,000 of them are in this report.")
    });
    let basis = AnswerBasis::of_list().with_notes(notes.chain(link.note()));
    Ok(ToolAnswer::new(text, data, &basis, link.plain("budgets")))
}
