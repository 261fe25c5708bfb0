use serde_json::{Map, Value, json};

use crate::{
    analytics::api::{FROM, TO},
    mcp::{
        answer_basis::AnswerBasis,
        arguments::{Arguments, ZONE},
        tool_answer::ToolAnswer,
        tool_error::ToolError,
    },
    view::{UrlQuery, segment},
};

use super::Call;

const ENDPOINT: &str = "GET /traces/{id}";
/// The API's message for an unknown trace.
const MISSING: &str = "trace not found";
/// The number of turns of an answer, unless the call names another.
const DEFAULT_TURNS: u64 = 50;
const MAX_TURNS: u64 = 500;

pub(super) async fn trace(call: &Call<'_>, arguments: Option<Map<String, Value>>) -> Result<ToolAnswer, ToolError> {
    let arguments = Arguments::read(arguments, &[], &["trace_id", "max_turns", FROM, TO, ZONE])?;
    let id = arguments.text("trace_id")?.filter(|id| !id.trim().is_empty());
    let id = id.ok_or_else(|| ToolError::invalid("trace_id is missing: expected the id of a trace"))?;
    let max = arguments.count("max_turns", 1, MAX_TURNS)?.unwrap_or(DEFAULT_TURNS);
    let mut query = UrlQuery::default();
    if arguments.get(FROM).or(arguments.get(TO)).is_some() {
        let range = arguments.range(call.now, &call.settings.zone)?.range;
        query.push(FROM, range.from().to_string());
        query.push(TO, range.to().to_string());
    }
    let reply = call.get(&format!("/traces/{}{}", segment(&id), query.text())).await;
    let mut body = reply.map_err(|error| error.or_no_endpoint(ENDPOINT, MISSING))?.body;

    let turns = body.get_mut("turns").and_then(Value::as_array_mut);
    let count = turns.as_ref().map_or(0, |turns| turns.len());
    // The W3C id, by which the dashboard finds the trace as well.
    let first = turns.as_ref().and_then(|turns| turns.first()?.get("trace_id")?.as_str()).map(ToOwned::to_owned);
    let shown = count.min(usize::try_from(max).unwrap_or(usize::MAX));
    let is_partial = |turn: &&Value| turn.get("cost_status").is_some_and(|status| status == "partial");
    let has_cost = |turn: &&Value| turn.get("cost").is_some_and(|cost| !cost.is_null());
    let partial = turns.as_ref().map_or(0, |turns| turns.iter().filter(is_partial).filter(has_cost).count());
    if let Some(turns) = turns {
        turns.truncate(shown);
    }
    let link = call.link();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let number = |name: &str| body.get("summary").and_then(|summary| summary.get(name)?.as_f64());
    let mut basis = AnswerBasis {
        from: text("from"),
        to: text("to"),
        is_exact: body.get("is_cut").and_then(Value::as_bool).map(|is_cut| !is_cut),
        grain: Some("instant".to_owned()),
        unpriced_share: number("unpriced_share"),
        data_up_to: None,
        notes: Vec::new(),
    }
    .with_notes(link.note());
    if shown < count {
        basis.notes.push(format!("The answer has the first {shown} of {count} turns; the summary has all of them."));
    }
    let sum = |name: &str| number(name).map_or_else(|| "unknown".to_owned(), |number| number.to_string());
    let mut paragraph = format!(
        "The trace has {count} requests, {} LLM calls, {} failures, and {} retries. Its known cost is {} US dollars.",
        sum("llm_calls"),
        sum("failures"),
        sum("retries"),
        sum("cost")
    );
    if partial > 0 {
        let sentence = format!("LLM calls with a partial cost: {partial}. The true cost of the trace may be higher.");
        paragraph.push(' ');
        paragraph.push_str(&sentence);
        basis.notes.push(sentence);
    }
    let url = link.thing("traces", first.as_deref().unwrap_or(&id));
    let mut data = body.as_object_mut().map(std::mem::take).unwrap_or_default();
    data.insert("turn_count".to_owned(), json!(count));
    Ok(ToolAnswer::new(paragraph, data, &basis, url))
}
