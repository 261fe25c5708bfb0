use serde_json::{Map, Value};

use crate::{
    mcp::{answer_basis::AnswerBasis, arguments::Arguments, tool_answer::ToolAnswer, tool_error::ToolError},
    view::segment,
};

use super::Call;

const ENDPOINT: &str = "GET /logs/{id}/cost";
/// The API's message for an unknown request.
const MISSING: &str = "log not found";

pub(super) async fn explain_cost(
    call: &Call<'_>,
    arguments: Option<Map<String, Value>>,
) -> Result<ToolAnswer, ToolError> {
    let arguments = Arguments::read(arguments, &[], &["request_id"])?;
    let id = arguments.text("request_id")?.filter(|id| !id.trim().is_empty());
    let id = id.ok_or_else(|| ToolError::invalid("request_id is missing: expected the id of a request"))?;
    let reply = call.get(&format!("/logs/{}/cost", segment(&id))).await;
    let mut body = reply.map_err(|error| error.or_no_endpoint(ENDPOINT, MISSING))?.body;

    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let time = text("created_at").map(ToOwned::to_owned);
    let is_call = text("cost_status").is_some();
    let is_partial = text("cost_status") == Some("partial");
    let is_unpriced = body.get("is_unpriced").and_then(Value::as_bool).unwrap_or(true);
    // Only a decimal number is repeated.
    let total = text("total_usd").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    let lines = body.get("lines").and_then(Value::as_array).map(Vec::len);
    let amount = |total: &str| {
        if is_partial {
            format!(
                "The known cost of the request is {total} US dollars. It is partial, because a part of the usage has no \
                 price or was not reported, so the true cost may be higher."
            )
        } else {
            format!("The request cost {total} US dollars.")
        }
    };
    let paragraph = match (total, lines, is_call) {
        (_, _, false) => "The request is not an LLM call, so it has no cost.".to_owned(),
        (None, ..) if !is_unpriced => "The provider refused the call, so it has no cost.".to_owned(),
        (None, ..) => "The cost of the request is unknown: `cost_status` has the reason.".to_owned(),
        (Some(total), None, _) => {
            format!("{} The price was not given by kind of usage, so there are no lines.", amount(total))
        }
        (Some(total), Some(count), _) => format!(
            "{} That is the sum of {count} lines. Each is quantity × usd_per_million / 1,000,000 = cost_usd.",
            amount(total)
        ),
    };
    let link = call.link();
    let basis = AnswerBasis {
        from: time.clone(),
        to: time,
        is_exact: Some(true),
        grain: Some("instant".to_owned()),
        unpriced_share: is_call.then_some(if total.is_some() || !is_unpriced { 0.0 } else { 100.0 }),
        data_up_to: None,
        notes: Vec::new(),
    }
    .with_notes(link.note());
    let url = link.thing("requests", &id);
    let data = body.as_object_mut().map(std::mem::take).unwrap_or_default();
    Ok(ToolAnswer::of_request(paragraph, data, &basis, url))
}
