use http::{HeaderMap, HeaderName};
use serde::Serialize;
use serde_json::{Value, json};

use crate::analytics::{
    TimeRange,
    api::{DATA_UP_TO, EXACT, GRAIN, UNPRICED_SHARE},
};

use super::{api_client::Reply, member::number};

/// The data that an answer is computed from. Values that the API does not report are `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct AnswerBasis {
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) is_exact: Option<bool>,
    pub(crate) grain: Option<String>,
    pub(crate) unpriced_share: Option<f64>,
    pub(crate) data_up_to: Option<String>,
    pub(crate) notes: Vec<String>,
}

impl AnswerBasis {
    /// Returns the basis of the answer to a request for a range.
    pub(crate) fn of(reply: &Reply, range: &TimeRange) -> Self {
        let mut basis = Self {
            from: Some(range.from().to_string()),
            to: Some(range.to().to_string()),
            is_exact: header(&reply.headers, &EXACT).map(|text| text == "true"),
            grain: header(&reply.headers, &GRAIN).map(ToOwned::to_owned),
            unpriced_share: header(&reply.headers, &UNPRICED_SHARE).and_then(|text| text.parse().ok()),
            data_up_to: header(&reply.headers, &DATA_UP_TO).map(ToOwned::to_owned),
            notes: Vec::new(),
        };
        if let Some(reported) = reply.body.get("basis").filter(|basis| basis.is_object()) {
            basis.read(reported);
        }
        if basis.grain.is_none() {
            let note = "This API does not report the share of unpriced calls and the grain of its sums. Calls of models without \
                        a price may count as free.";
            basis.notes.push(note.to_owned());
        }
        basis
    }

    /// Returns the basis of a list, which has no sums.
    pub(crate) fn of_list() -> Self {
        let note = "A list has no sums, so it has no range, no grain, and no share of unpriced calls.";
        Self { notes: vec![note.to_owned()], ..Self::default() }
    }

    /// Adds notes.
    pub(crate) fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Reads the basis in the body of an answer, which is more precise than the headers.
    fn read(&mut self, reported: &Value) {
        let text = |name: &str| reported.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        self.from = text("from").or(self.from.take());
        self.to = text("to").or(self.to.take());
        self.grain = text("grain").or(self.grain.take());
        self.data_up_to = text("data_up_to").or(self.data_up_to.take());
        self.is_exact = reported.get("is_exact").and_then(Value::as_bool).or(self.is_exact);
        let share = reported.get("unpriced_share").and_then(number).and_then(|number| number.as_f64());
        self.unpriced_share = share.or(self.unpriced_share);
        let notes = reported.get("notes").and_then(Value::as_array).into_iter().flatten();
        self.notes.extend(notes.filter_map(Value::as_str).map(ToOwned::to_owned));
    }

    /// Returns what a reader of sums has to know. It has no words of requests.
    ///
    /// Calls that are priced in part count as priced, so a share of 0 does not mean that all costs are known.
    pub(crate) fn sentences(&self) -> String {
        let mut text = match self.unpriced_share {
            Some(0.0) => " No LLM call is unpriced.".to_owned(),
            Some(share) => format!(" The cost of {} of the LLM calls is unknown and not included.", percent(share)),
            None if self.grain.is_some() => " There are no LLM calls.".to_owned(),
            None => String::new(),
        };
        if self.is_exact == Some(false) {
            text.push_str(" The numbers cover another range than the one asked for: see `basis`.");
        }
        text
    }

    pub(crate) fn schema() -> Value {
        json!({
            "type": "object",
            "description": "The data behind the numbers. What the API does not report is null.",
            "properties": {
                "from": { "type": ["string", "null"], "description": "The first instant that was summed." },
                "to": { "type": ["string", "null"], "description": "The end of the range that was summed, excluded." },
                "is_exact": {
                    "type": ["boolean", "null"],
                    "description": "false if the numbers cover another range than the one asked for."
                },
                "grain": {
                    "type": ["string", "null"],
                    "description": "The instants at which the range could be cut: instant (any), quarter_hour, hour, day, …"
                },
                "unpriced_share": {
                    "type": ["number", "null"],
                    "description": "The share of LLM calls whose cost is unknown, from 0 to 100. Costs do not include \
                                    them. Calls that are priced in part count as priced."
                },
                "data_up_to": { "type": ["string", "null"], "description": "The time of the latest stored request." },
                "notes": {
                    "type": "array", "items": { "type": "string" },
                    "description": "Differences from what was asked for."
                }
            },
            "required": ["from", "to", "is_exact", "grain", "unpriced_share", "data_up_to", "notes"]
        })
    }
}

/// Returns a share with one decimal. Small ones are not rounded to 0, and large ones not to 100.
fn percent(share: f64) -> String {
    match share {
        share if share < 0.05 => "less than 0.1 %".to_owned(),
        share if (99.95..100.0).contains(&share) => "more than 99.9 %".to_owned(),
        share => format!("{share:.1} %"),
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
