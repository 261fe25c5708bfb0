//! The runs of models within one call that are counted by themselves: by Anthropic (`usage.iterations`), and by Groq for
//! compound models (`usage_breakdown`).
//!
//! What Anthropic bills is
//! [their sum](https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage): summaries of the context
//! and advice of another model are not among the counts of the whole, nor is what a model said before another took over.

use serde_json::{Map, Value};

use crate::text::cut_name;

use super::{Unit, Usage};

/// One run of a model.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The model, where it is named.
    pub(super) model: Option<String>,
    /// It is of the model that answered.
    pub(super) is_of_answer: bool,
    pub(super) usage: Usage,
}

/// What is billed of a call.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// At most [`MAX_ATTEMPTS`], the one that answered last of those that are of its model.
    pub(super) list: Vec<Attempt>,
    /// Why that may not be all.
    pub(super) problem: Option<String>,
}

/// Most attempts that are told apart.
const MAX_ATTEMPTS: usize = 64;

/// What is counted of each attempt; anything else is counted for the whole alone.
const COUNTED: [Unit; 6] = [
    Unit::InputTokens,
    Unit::OutputTokens,
    Unit::CacheReadTokens,
    Unit::CacheWriteTokens,
    Unit::CacheWrite5mTokens,
    Unit::CacheWrite1hTokens,
];

impl Attempts {
    /// The attempts of a call, whose counts of the whole are `whole`; `is_refused` says that it ended in a refusal. `counts`
    /// reads those of one attempt.
    pub(super) fn read(
        entries: &[Value],
        whole: &Usage,
        is_refused: bool,
        counts: impl Fn(&Map<String, Value>) -> Usage,
    ) -> Self {
        let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
        let kind = |entry: &Value| text(entry, "type").unwrap_or_default();
        let is_beside = |entry: &Value| ["compaction", "advisor_message"].contains(&&*kind(entry));
        let last = entries.iter().rposition(|entry| !is_beside(entry));
        let answered_by = last.and_then(|at| text(entries.get(at)?, "model")).map(cut_name);
        let took_over = entries.iter().rposition(|entry| kind(entry) == "fallback_message");
        let mut attempts = Self::default();
        let (mut own, mut beside, mut is_declined) = (Vec::new(), Vec::new(), false);
        for (at, entry) in entries.iter().enumerate() {
            let usage = entry.as_object().map(&counts);
            let Some(usage) = usage.filter(|usage| usage.input_tokens().is_some() && usage.output_tokens().is_some())
            else {
                attempts.problem = Some(format!("iterations.{at} can't be read"));
                continue;
            };
            // What was declined before anything was said is counted, and not billed.
            let is_before = is_refused || took_over.is_some_and(|took_over| at < took_over);
            if is_before && kind(entry) == "message" && usage.output_tokens() == Some(0) {
                is_declined |= Some(at) == last;
                continue;
            }
            let model = text(entry, "model").filter(|model| !model.is_empty()).map(cut_name);
            let is_of_answer = model.is_none() || model == answered_by;
            let attempt = Attempt { model, is_of_answer, usage };
            if is_beside(entry) { beside.push(attempt) } else { own.push(attempt) }
        }
        // The counts of the whole are those of the attempt that was declined last.
        if !is_declined && !make_whole(&mut own, whole) {
            attempts.problem.get_or_insert_with(|| "iterations tell of less than the whole".to_owned());
        }
        for attempt in own.into_iter().chain(beside) {
            attempts.add(attempt);
        }
        attempts
    }

    /// What each model of a compound one used; `whole` is what all did. `counts` reads what one used.
    pub(super) fn of_models(entries: &[Value], whole: &Usage, counts: impl Fn(&Map<String, Value>) -> Usage) -> Self {
        let mut attempts = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            let model = entry.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
            let usage = entry.get("usage").and_then(Value::as_object).map(&counts);
            match (model, usage.filter(|usage| !usage.is_empty())) {
                (Some(model), Some(usage)) => {
                    attempts.add(Attempt { model: Some(cut_name(model.to_owned())), is_of_answer: false, usage });
                }
                _ => attempts.problem = Some(format!("usage_breakdown.models.{at} can't be read")),
            }
        }
        if !attempts.makes_up(whole) {
            attempts.problem.get_or_insert_with(|| "usage_breakdown tells of less than the whole".to_owned());
            attempts.list = vec![Attempt { model: None, is_of_answer: true, usage: whole.clone() }];
        }
        attempts
    }

    /// Whether the attempts used all of this.
    fn makes_up(&self, whole: &Usage) -> bool {
        let sum = self.sum();
        COUNTED.iter().all(|unit| sum.get(*unit).unwrap_or(0) >= whole.get(*unit).unwrap_or(0))
    }

    fn add(&mut self, attempt: Attempt) {
        if self.list.len() < MAX_ATTEMPTS {
            return self.list.push(attempt);
        }
        self.problem.get_or_insert_with(|| format!("more than {MAX_ATTEMPTS} iterations"));
        let same = self.list.iter().position(|other| other.model == attempt.model);
        if let Some(other) = self.list.get_mut(same.unwrap_or(MAX_ATTEMPTS - 1)) {
            other.usage.add_all(&attempt.usage);
        }
    }

    /// What they used together.
    pub(super) fn sum(&self) -> Usage {
        let mut sum = Usage::new();
        for attempt in &self.list {
            sum.add_all(&attempt.usage);
        }
        sum
    }

    /// What they used together, and what is counted for the whole alone.
    pub(super) fn sum_within(&self, whole: &Usage) -> Usage {
        let alone = whole.iter().filter(|(unit, _)| !COUNTED.contains(unit));
        alone.fold(self.sum(), |usage, (unit, count)| usage.with(unit, count))
    }

    /// What is counted for the whole alone is of the attempt that answered.
    pub(super) fn complete(&mut self, whole: &Usage) {
        if let Some(answer) = self.list.iter_mut().rfind(|attempt| attempt.is_of_answer) {
            for (unit, count) in whole.iter().filter(|(unit, _)| !COUNTED.contains(unit)) {
                answer.usage.set(unit, count);
            }
        }
    }
}

/// Sees to it that attempts make up the whole at least: what none of them tells of is of the last. False when they tell of
/// less, and the whole took their place.
fn make_whole(own: &mut Vec<Attempt>, whole: &Usage) -> bool {
    for unit in COUNTED {
        let is_known = own.iter().any(|attempt| attempt.usage.get(unit).is_some());
        if let Some(count) = whole.get(unit).filter(|count| *count > 0 && !is_known)
            && let Some(last) = own.last_mut()
        {
            if matches!(unit, Unit::CacheReadTokens | Unit::CacheWriteTokens) {
                last.usage.add(Unit::InputTokens, count);
            }
            last.usage.set(unit, count);
        }
    }
    let of_own = |unit| own.iter().filter_map(|attempt| attempt.usage.get(unit)).fold(0, u64::saturating_add);
    let is_whole = COUNTED.iter().all(|unit| of_own(*unit) >= whole.get(*unit).unwrap_or(0));
    if !is_whole {
        *own = vec![Attempt { model: None, is_of_answer: true, usage: whole.clone() }];
    }
    is_whole
}
