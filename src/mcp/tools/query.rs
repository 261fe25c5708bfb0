use serde_json::{Map, Value, json};

use crate::{
    analytics::{
        Bucket,
        api::{FROM, TO},
        jiff::tz::TimeZone,
    },
    mcp::{
        answer_basis::AnswerBasis,
        arguments::{Arguments, ZONE},
        tool_answer::ToolAnswer,
        tool_error::ToolError,
    },
};

use super::Call;

const ENDPOINT: &str = "POST /query";
/// The number of groups of an answer, unless the call names another.
const DEFAULT_LIMIT: u64 = 20;
/// The largest number of groups of an answer. Others follow by cursor.
const MAX_LIMIT: u64 = 100;

/// The arguments that are members of the query as they are.
const MEMBERS: &[&str] = &["filters", "group_by", "bucket", "measures", "order", "cursor"];

pub(super) async fn query(call: &Call<'_>, arguments: Option<Map<String, Value>>) -> Result<ToolAnswer, ToolError> {
    let own: Vec<&str> = [FROM, TO, ZONE, "limit"].iter().chain(MEMBERS).copied().collect();
    let arguments = Arguments::read(arguments, &[], &own)?;
    let range = arguments.range(call.now, &call.settings.zone)?;
    let mut times = json!({ "from": range.range.from().to_string(), "to": range.range.to().to_string() });
    if let Some(name) = range.zone.iana_name().filter(|_| range.zone != TimeZone::UTC)
        && let Some(times) = times.as_object_mut()
    {
        times.insert("zone".to_owned(), json!(name));
    }
    let limit = arguments.count("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let mut body = Map::from_iter([("range".to_owned(), times), ("limit".to_owned(), json!(limit))]);
    for name in MEMBERS {
        if let Some(value) = arguments.get(name) {
            body.insert((*name).to_owned(), value.clone());
        }
    }
    let reply = call.post("/query", &Value::Object(body)).await;
    let mut reply = reply.map_err(|error| error.or_no_endpoint(ENDPOINT, ""))?;

    let texts = |name: &str| -> Vec<String> {
        let list = reply.body.get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    };
    let link = call.link().filter(arguments.get("filters"));
    let bucket = arguments.get("bucket").and_then(Value::as_str);
    let bucket = bucket.and_then(|name| Bucket::ALL.iter().copied().find(|bucket| bucket.as_str() == name));
    let url = link.explore(&range, &texts("measures"), &texts("group_by"), bucket);
    let basis = AnswerBasis::of(&reply, &range.range).with_notes(link.note());
    let length = |name: &str| reply.body.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let count = reply.body.get("group_count").and_then(Value::as_u64).unwrap_or_default();
    let text = format!(
        "From {} to {}: {count} groups, of which {} are in this answer, and {} points in time. Money is in US dollars.",
        range.range.from(),
        range.range.to(),
        length("groups"),
        length("buckets")
    );
    let data = reply.body.as_object_mut().map(std::mem::take).unwrap_or_default();
    Ok(ToolAnswer::new(text, data, &basis, url))
}
