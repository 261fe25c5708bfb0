use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::{
    analytics::api::SERIES,
    mcp::{
        answer_basis::AnswerBasis,
        api_client::Reply,
        arguments::{Arguments, CallRange},
        dashboard_link::DashboardLink,
        member::{Member, members, number},
        tool_answer::ToolAnswer,
        tool_error::ToolError,
    },
};

use super::Call;

const TIMESTAMP: Member = Member::text("timestamp", "The start of the point.");

/// The members of the summary and of each point of a graph.
pub(super) struct Graph {
    pub(super) summary: &'static [Member],
    pub(super) points: &'static [Member],
}

pub(super) const COST: Graph = Graph {
    summary: &[
        Member::number("total", "The known cost in cents. null if no cost is known."),
        Member::number("avg", "The cost per LLM call whose cost is known, in cents."),
    ],
    points: &[
        TIMESTAMP,
        Member::number("total", "The known cost in cents. null if there are calls, and no cost of them is known."),
        Member::number("avg", "The cost per LLM call whose cost is known, in cents."),
    ],
};

pub(super) const REQUESTS: Graph = Graph {
    summary: &[Member::number("total", "Requests."), Member::number("errors", "Requests that are errors.")],
    points: &[
        TIMESTAMP,
        Member::number("total", "Requests."),
        Member::number("errors", "Requests with a status of 400 or more, or that failed."),
    ],
};

pub(super) const TOKENS: Graph = Graph {
    summary: &[
        Member::number("total", "Input and output tokens."),
        Member::number("avg", "Tokens per LLM call whose tokens are known."),
    ],
    points: &[
        TIMESTAMP,
        Member::number("total", "Input and output tokens."),
        Member::number("avg", "Tokens per LLM call whose tokens are known."),
    ],
};

impl Graph {
    pub(super) fn schema(&self) -> Value {
        let properties = json!({
            "summary": crate::mcp::member::object_schema(self.summary, "The values of the whole range."),
            "data_points": ToolAnswer::list_of(self.points, "The values of one point in time."),
            "object": { "type": "string", "const": "analytics-graph" }
        });
        ToolAnswer::schema(properties, &["summary", "data_points", "object"])
    }

    /// Returns the data of a reply.
    fn data(&self, reply: &Reply) -> Map<String, Value> {
        let points = reply.body.get("data_points").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let points: Vec<Value> = points.iter().map(|point| Value::Object(members(Some(point), self.points))).collect();
        Map::from_iter([
            ("summary".to_owned(), Value::Object(members(reply.body.get("summary"), self.summary))),
            ("data_points".to_owned(), Value::Array(points)),
            ("object".to_owned(), json!("analytics-graph")),
        ])
    }
}

/// What a graph is asked for.
struct Selected {
    query: String,
    range: CallRange,
    link: DashboardLink,
}

impl Selected {
    fn read(call: &Call<'_>, arguments: Option<Map<String, Value>>) -> Result<Self, ToolError> {
        let arguments = Arguments::read(arguments, SERIES, &[])?;
        let range = arguments.range(call.now, &call.settings.zone)?;
        let query = arguments.query(Some(&range))?.text();
        let link = call.link().select(&arguments)?;
        Ok(Self { query, range, link })
    }

    async fn graph(&self, call: &Call<'_>, name: &str) -> Result<Reply, ToolError> {
        call.get(&format!("/analytics/graphs/{name}{}", self.query)).await
    }

    fn answer(&self, text: &str, data: Map<String, Value>, reply: &Reply, notes: Option<String>) -> ToolAnswer {
        let mut basis = AnswerBasis::of(reply, &self.range.range).with_notes(self.link.note());
        basis.notes.extend(notes);
        let points = data.get("data_points").and_then(Value::as_array).map_or(0, Vec::len);
        let (from, to) = (self.range.range.from(), self.range.range.to());
        let text = format!("From {from} to {to}, in {points} points: {text}");
        ToolAnswer::new(text, data, &basis, self.link.page("", &self.range))
    }
}

/// Returns a number of the summary as text, or `unknown`.
fn total(data: &Map<String, Value>, name: &str) -> String {
    let value = data.get("summary").and_then(|summary| summary.get(name)).and_then(number);
    value.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}

pub(super) async fn cost(call: &Call<'_>, arguments: Option<Map<String, Value>>) -> Result<ToolAnswer, ToolError> {
    let selected = Selected::read(call, arguments)?;
    let reply = selected.graph(call, "cost").await?;
    let data = COST.data(&reply);
    let cents = data.get("summary").and_then(|summary| number(summary.get("total")?)?.as_f64());
    let text = match cents {
        Some(cents) => {
            format!("the known cost is {} cents, which are {:.2} US dollars.", total(&data, "total"), cents / 100.0)
        }
        None => "no cost is known.".to_owned(),
    };
    Ok(selected.answer(&text, data, &reply, None))
}

/// Two graphs with the same points: requests, and the errors among them.
pub(super) async fn requests(call: &Call<'_>, arguments: Option<Map<String, Value>>) -> Result<ToolAnswer, ToolError> {
    let selected = Selected::read(call, arguments)?;
    let reply = selected.graph(call, "requests").await?;
    let mut data = REQUESTS.data(&reply);
    let note = match selected.graph(call, "errors").await {
        Ok(errors) => {
            add_errors(&mut data, &errors);
            None
        }
        Err(error) if error.is_not_found() => Some("This API does not report errors over time.".to_owned()),
        Err(error) => return Err(error),
    };
    let text = format!("{} requests, of which {} are errors.", total(&data, "total"), total(&data, "errors"));
    Ok(selected.answer(&text, data, &reply, note))
}

/// Adds the numbers of errors to the points with the same time.
fn add_errors(data: &mut Map<String, Value>, reply: &Reply) {
    let errors = TOKENS.data(reply);
    let count = |point: &Value| point.get("total").cloned().unwrap_or_default();
    let points = errors.get("data_points").and_then(Value::as_array).into_iter().flatten();
    let at: HashMap<&str, Value> =
        points.filter_map(|point| Some((point.get("timestamp")?.as_str()?, count(point)))).collect();
    let points = data.get_mut("data_points").and_then(Value::as_array_mut).into_iter().flatten();
    for point in points.filter_map(Value::as_object_mut) {
        let found = point.get("timestamp").and_then(Value::as_str).and_then(|time| at.get(time)).cloned();
        point.insert("errors".to_owned(), found.unwrap_or_default());
    }
    if let Some(summary) = data.get_mut("summary").and_then(Value::as_object_mut) {
        summary.insert("errors".to_owned(), errors.get("summary").map(count).unwrap_or_default());
    }
}

pub(super) async fn tokens(call: &Call<'_>, arguments: Option<Map<String, Value>>) -> Result<ToolAnswer, ToolError> {
    let selected = Selected::read(call, arguments)?;
    let reply = selected.graph(call, "tokens").await?;
    let data = TOKENS.data(&reply);
    let text = format!("{} tokens.", total(&data, "total"));
    Ok(selected.answer(&text, data, &reply, None))
}
