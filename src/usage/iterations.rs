//! Model runs within one call that the provider counts separately: Anthropic's `usage.iterations` and the
//! `usage_breakdown` of Groq's compound models.
//!
//! Anthropic bills
//! [the sum of the iterations](https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage). The
//! counts of the whole leave out context summaries, advice of another model, and the output of a model before another one
//! took over.

use serde_json::{Map, Value};

use crate::text::cut_name;

use super::{
    PriceBook, Unit, Usage,
    cost_breakdown::{BillableCall, CostBreakdown, Models, used_non_token_units},
};

/// Maximum number of iterations that are kept apart.
const MAX_ITERATIONS: usize = 64;

/// The units that are counted for each iteration. All others are counted for the whole only.
const COUNTED: [Unit; 6] = [
    Unit::InputTokens,
    Unit::OutputTokens,
    Unit::CacheReadTokens,
    Unit::CacheWriteTokens,
    Unit::CacheWrite5mTokens,
    Unit::CacheWrite1hTokens,
];

/// One run of a model.
#[derive(Debug)]
pub(super) struct Iteration {
    /// The model, if the iteration names it.
    pub(super) model: Option<String>,
    /// The model that answered made this run.
    pub(super) by_answering_model: bool,
    pub(super) usage: Usage,
}

impl Iteration {
    /// Creates an iteration of the model that answered.
    pub(super) fn of_answer(usage: Usage) -> Self {
        Self { model: None, by_answering_model: true, usage }
    }
}

/// The billed runs of one call.
#[derive(Debug, Default)]
pub(super) struct Iterations {
    /// The runs. Those of the answering model come in their order, so the answer is the last of them.
    pub(super) list: Vec<Iteration>,
    /// The reason for which the list may be incomplete.
    pub(super) problem: Option<String>,
}

impl Iterations {
    /// Reads Anthropic's iterations. `whole` is the usage that the response reports for the call, and `counts` reads that of
    /// one iteration.
    pub(super) fn read(
        entries: &[Value],
        whole: &Usage,
        is_refused: bool,
        counts: impl Fn(&Map<String, Value>) -> Usage,
    ) -> Self {
        let last = entries.iter().rposition(|entry| !is_auxiliary(entry));
        let answered_by = last.and_then(|at| member(entries.get(at)?, "model")).map(|model| cut_name(model.to_owned()));
        let took_over = entries.iter().rposition(|entry| kind(entry) == "fallback_message");
        let mut iterations = Self::default();
        let (mut main, mut auxiliary, mut is_declined) = (Vec::new(), Vec::new(), false);
        for (at, entry) in entries.iter().enumerate() {
            let usage = entry.as_object().map(&counts);
            let Some(usage) = usage.filter(|usage| usage.input_tokens().is_some() && usage.output_tokens().is_some())
            else {
                iterations.problem = Some(format!("iterations.{at} cannot be read"));
                continue;
            };
            // A run that was declined before any output is counted but not billed.
            let may_be_declined = is_refused || took_over.is_some_and(|took_over| at < took_over);
            if may_be_declined && kind(entry) == "message" && usage.output_tokens() == Some(0) {
                is_declined |= Some(at) == last;
                continue;
            }
            let model =
                member(entry, "model").filter(|model| !model.is_empty()).map(|model| cut_name(model.to_owned()));
            let by_answering_model = model.is_none() || model == answered_by;
            let iteration = Iteration { model, by_answering_model, usage };
            if is_auxiliary(entry) { auxiliary.push(iteration) } else { main.push(iteration) }
        }
        // If the last run was declined, the counts of the whole are those of that run.
        if !is_declined && !covers_whole(&mut main, whole) {
            iterations.problem.get_or_insert_with(|| "iterations add up to less than the whole".to_owned());
        }
        for iteration in main.into_iter().chain(auxiliary) {
            iterations.add(iteration);
        }
        iterations
    }

    /// Reads the models of a Groq compound call. `whole` is the usage of all of them, and `counts` reads that of one model.
    pub(super) fn of_models(entries: &[Value], whole: &Usage, counts: impl Fn(&Map<String, Value>) -> Usage) -> Self {
        let mut iterations = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            let model = member(entry, "model").filter(|model| !model.is_empty());
            let usage = entry.get("usage").and_then(Value::as_object).map(&counts);
            match (model, usage.filter(|usage| !usage.is_empty())) {
                (Some(model), Some(usage)) => {
                    let model = Some(cut_name(model.to_owned()));
                    iterations.add(Iteration { model, by_answering_model: false, usage });
                }
                _ => iterations.problem = Some(format!("usage_breakdown.models.{at} cannot be read")),
            }
        }
        let sum = iterations.sum();
        if COUNTED.iter().any(|unit| sum.get(*unit).unwrap_or(0) < whole.get(*unit).unwrap_or(0)) {
            iterations.problem.get_or_insert_with(|| "usage_breakdown adds up to less than the whole".to_owned());
            iterations.list = vec![Iteration::of_answer(whole.clone())];
        }
        iterations
    }

    /// Prices each run by its own model. `whole` is the usage of the call.
    pub(super) fn price(&self, call: &BillableCall<'_>, book: &dyn PriceBook, whole: &Usage) -> CostBreakdown {
        // Counts that the provider reports only for the whole call belong to no iteration.
        let is_attributed = |unit| self.list.iter().any(|iteration| iteration.usage.get(unit).is_some());
        let covers_all_usage = used_non_token_units(whole).all(is_attributed) && !call.has_unreported_searches(whole);
        let mut sum = CostBreakdown { cost: None, covers_all_usage };
        for Iteration { model, by_answering_model, usage } in &self.list {
            let models = Models { named: model.as_deref(), answered: *by_answering_model };
            let run = call.price_run(book, models, usage);
            sum.covers_all_usage &= run.covers_all_usage;
            sum.cost = match (sum.cost, run.cost) {
                (Some(sum), Some(cost)) => Some(sum.plus(&cost)),
                (sum, cost) => sum.or(cost),
            };
        }
        sum
    }

    /// Returns `true` if the usage is that of one run, and everything of it is known.
    pub(super) fn is_single_run(&self) -> bool {
        self.list.is_empty() && self.problem.is_none()
    }

    /// Forgets the only run if it is the whole call: it has the same usage, and no other model.
    pub(super) fn drop_whole(&mut self, whole: &Usage, model: Option<&str>) {
        let is_same_model =
            |run: &Iteration| run.by_answering_model && (run.model.is_none() || run.model.as_deref() == model);
        if matches!(&*self.list, [run] if is_same_model(run) && run.usage == *whole) {
            self.list.clear();
        }
    }

    fn add(&mut self, iteration: Iteration) {
        if self.list.len() < MAX_ITERATIONS {
            return self.list.push(iteration);
        }
        self.problem.get_or_insert_with(|| format!("more than {MAX_ITERATIONS} iterations"));
        let same = self.list.iter().position(|other| other.model == iteration.model);
        if let Some(other) = self.list.get_mut(same.unwrap_or(MAX_ITERATIONS - 1)) {
            other.usage.add_all(&iteration.usage);
        }
    }

    /// Returns the sum of all runs.
    pub(super) fn sum(&self) -> Usage {
        let mut sum = Usage::new();
        for iteration in &self.list {
            sum.add_all(&iteration.usage);
        }
        sum
    }

    /// Returns the sum of all runs, and the counts that only the whole has.
    pub(super) fn sum_within(&self, whole: &Usage) -> Usage {
        whole_only(whole).fold(self.sum(), |usage, (unit, count)| usage.with(unit, count))
    }

    /// Assigns the counts that only the whole has to the run that answered.
    pub(super) fn complete(&mut self, whole: &Usage) {
        if let Some(answer) = self.list.iter_mut().rfind(|iteration| iteration.by_answering_model) {
            for (unit, count) in whole_only(whole) {
                answer.usage.set(unit, count);
            }
        }
    }
}

fn member<'e>(entry: &'e Value, name: &str) -> Option<&'e str> {
    entry.get(name).and_then(Value::as_str)
}

fn kind(entry: &Value) -> &str {
    member(entry, "type").unwrap_or_default()
}

/// Returns `true` for runs that are not counted in the whole.
fn is_auxiliary(entry: &Value) -> bool {
    ["compaction", "advisor_message"].contains(&kind(entry))
}

fn whole_only(whole: &Usage) -> impl Iterator<Item = (Unit, u64)> {
    whole.iter().filter(|(unit, _)| !COUNTED.contains(unit))
}

/// Makes sure that the runs cover the whole. Counts that no run has are added to the last one.
///
/// Returns `false` if the runs still add up to less, and replaces them by the whole.
fn covers_whole(runs: &mut Vec<Iteration>, whole: &Usage) -> bool {
    for unit in COUNTED {
        let is_known = runs.iter().any(|run| run.usage.get(unit).is_some());
        if let Some(count) = whole.get(unit).filter(|count| *count > 0 && !is_known)
            && let Some(last) = runs.last_mut()
        {
            if matches!(unit, Unit::CacheReadTokens | Unit::CacheWriteTokens) {
                last.usage.add(Unit::InputTokens, count);
            }
            last.usage.set(unit, count);
        }
    }
    let sum = |unit| runs.iter().filter_map(|run| run.usage.get(unit)).fold(0, u64::saturating_add);
    let is_covered = COUNTED.iter().all(|unit| sum(*unit) >= whole.get(*unit).unwrap_or(0));
    if !is_covered {
        *runs = vec![Iteration::of_answer(whole.clone())];
    }
    is_covered
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use crate::{
        Metadata,
        usage::{Cost, Money, PriceQuery, price_fn},
    };

    use super::*;

    fn price(query: &PriceQuery<'_>) -> Option<u64> {
        let tokens = query.usage.input_tokens()?;
        match query.model {
            "answered" => Some(tokens),
            "advisor" => Some(tokens * 100),
            _ => None,
        }
    }

    /// Returns the cost of a call of the model `answered`, and whether it covers all usage.
    fn cost(list: Vec<Iteration>, whole: &Usage) -> (Option<u64>, bool) {
        let metadata = Metadata::new();
        let call = BillableCall {
            provider: Some("anthropic"),
            operation: None,
            response_model: Some("answered"),
            request_model: Some("asked"),
            service_tier: None,
            inference_geo: None,
            time: UNIX_EPOCH,
            metadata: &metadata,
        };
        let book = price_fn(|query| Some(Cost::custom(Money::from_nano_usd(price(query)?))));
        let breakdown = Iterations { list, problem: None }.price(&call, &book, whole);
        (breakdown.cost.map(|cost| cost.total.nano_usd()), breakdown.covers_all_usage)
    }

    #[test]
    fn prices_each_run_by_its_own_model() {
        let run = |model: Option<&str>, by_answering_model, tokens| Iteration {
            model: model.map(str::to_owned),
            by_answering_model,
            usage: Usage::tokens(tokens, 0),
        };
        let runs = || vec![run(None, true, 1), run(Some("advisor"), false, 10)];
        let whole = Usage::tokens(11, 0);
        assert_eq!(cost(runs(), &whole), (Some(1_001), true));

        let mut unknown = runs();
        unknown.push(run(Some("unknown"), false, 5));
        assert_eq!(cost(unknown, &whole), (Some(1_001), false));

        // Searches of the whole call are in no iteration.
        assert_eq!(cost(runs(), &whole.with(Unit::WebSearches, 1)), (Some(1_001), false));
    }

    #[test]
    fn forgets_a_run_that_is_the_whole_call() {
        let whole = Usage::tokens(3, 1);
        let is_dropped = |run: Iteration| {
            let mut iterations = Iterations { list: vec![run], problem: None };
            iterations.drop_whole(&whole, Some("answered"));
            iterations.is_single_run()
        };
        let named = |model: &str| Iteration { model: Some(model.to_owned()), ..Iteration::of_answer(whole.clone()) };
        assert!(is_dropped(Iteration::of_answer(whole.clone())) && is_dropped(named("answered")));
        assert!(!is_dropped(named("other")) && !is_dropped(Iteration::of_answer(Usage::tokens(4, 1))));
    }
}
