use std::time::SystemTime;

use crate::Metadata;

use super::{
    consistency::saturated,
    iterations::{Iteration, Iterations},
    money::Money,
    price::{Cost, PriceBook, PriceQuery, price_or_none},
    unit::Unit,
    usage::Usage,
};

/// A call to price with a price book.
#[derive(Clone, Copy)]
pub(super) struct BillableCall<'a> {
    pub(super) provider: Option<&'a str>,
    pub(super) response_model: Option<&'a str>,
    pub(super) request_model: Option<&'a str>,
    /// The tier of the response. The requested tier may not be the one that served the call.
    pub(super) service_tier: Option<&'a str>,
    pub(super) inference_geo: Option<&'a str>,
    pub(super) time: SystemTime,
    pub(super) metadata: &'a Metadata,
}

/// The cost of a call according to a price book.
#[derive(Debug, PartialEq)]
pub(super) struct CostBreakdown {
    pub(super) cost: Option<Cost>,
    /// Every count is part of the cost.
    pub(super) covers_all_usage: bool,
}

/// Units that are billed in addition to tokens, or in place of them. Many models have no price for them.
const NON_TOKEN_UNITS: [Unit; 4] =
    [Unit::WebSearches, Unit::FileSearches, Unit::AudioSeconds, Unit::InputDocumentPages];

/// The models of a query, in addition to those of the call.
#[derive(Clone, Copy)]
struct Models<'a> {
    /// The model that an iteration names.
    named: Option<&'a str>,
    /// The usage is that of the model that answered.
    answered: bool,
}

impl BillableCall<'_> {
    /// Prices the usage. Each iteration is priced separately, by its own model.
    pub(super) fn price(&self, book: &dyn PriceBook, usage: &Usage, iterations: &Iterations) -> CostBreakdown {
        if iterations.list.is_empty() {
            return self.price_whole(book, usage);
        }
        // Counts that the provider reports only for the whole call belong to no iteration.
        let is_attributed = |unit| iterations.list.iter().any(|iteration| iteration.usage.get(unit).is_some());
        let covers_all_usage = used_non_token_units(usage).all(is_attributed);
        let mut sum = CostBreakdown { cost: None, covers_all_usage };
        for Iteration { model, by_answering_model, usage } in &iterations.list {
            let models = Models { named: model.as_deref(), answered: *by_answering_model };
            sum.add(self.price_attempt(book, models, usage));
        }
        sum
    }

    fn price_whole(&self, book: &dyn PriceBook, usage: &Usage) -> CostBreakdown {
        let breakdown = self.price_attempt(book, Models { named: None, answered: true }, usage);
        let CostBreakdown { cost, covers_all_usage } = breakdown;
        CostBreakdown { cost: cost.or_else(|| self.query_totals(book, usage)), covers_all_usage }
    }

    fn price_attempt(&self, book: &dyn PriceBook, models: Models<'_>, usage: &Usage) -> CostBreakdown {
        let Some(cost) = self.query(book, models, usage) else {
            return CostBreakdown { cost: None, covers_all_usage: false };
        };
        // A unit without a price does not change the cost.
        let is_unpriced = |unit| {
            let without = self.query(book, models, &usage.filtered(|other| other != unit));
            without.is_none_or(|without| without.total == cost.total)
        };
        let covers_all_usage =
            !used_non_token_units(usage).any(is_unpriced) && !self.ignores_speed(book, models, usage, &cost);
        CostBreakdown { cost: Some(cost), covers_all_usage }
    }

    /// Returns `true` if the book prices a fast call like a usual one. Fast mode costs more, so its rate is unknown.
    fn ignores_speed(&self, book: &dyn PriceBook, models: Models<'_>, usage: &Usage, cost: &Cost) -> bool {
        if self.service_tier != Some("fast") || cost.total == Money::ZERO {
            return false;
        }
        let usual = Self { service_tier: None, ..*self };
        usual.query(book, models, usage).is_some_and(|usual| usual.total == cost.total)
    }

    /// Prices only the main counts, for books that have no price for some of their parts, such as cached images.
    fn query_totals(&self, book: &dyn PriceBook, usage: &Usage) -> Option<Cost> {
        let totals = usage.filtered(is_main_count);
        let has_parts = totals.input_tokens().is_some() && totals.iter().count() < usage.iter().count();
        if !has_parts {
            return None;
        }
        self.query(book, Models { named: None, answered: true }, &totals)
    }

    /// Returns the first price that the book has for one of the models.
    fn query(&self, book: &dyn PriceBook, models: Models<'_>, usage: &Usage) -> Option<Cost> {
        let mut answering = [self.response_model, self.request_model];
        if self.provider == Some("aws") {
            // The requested model names the region, and the price depends on it.
            answering.reverse();
        }
        let usage = saturated(usage);
        let candidates = [models.named].into_iter().chain(answering.into_iter().filter(|_| models.answered)).flatten();
        candidates.map(|model| PriceQuery::bare_model(self.provider, model)).find_map(|model| {
            let query = PriceQuery {
                provider: self.provider,
                model,
                usage: &usage,
                requested_model: self.request_model.filter(|_| models.answered),
                service_tier: self.service_tier,
                inference_geo: self.inference_geo,
                time: self.time,
                metadata: Some(self.metadata),
            };
            price_or_none(book, &query)
        })
    }
}

impl CostBreakdown {
    fn add(&mut self, other: Self) {
        self.covers_all_usage &= other.covers_all_usage;
        self.cost = match (self.cost.take(), other.cost) {
            (Some(sum), Some(cost)) => Some(sum.plus(&cost)),
            (sum, cost) => sum.or(cost),
        };
    }
}

fn used_non_token_units(usage: &Usage) -> impl Iterator<Item = Unit> {
    NON_TOKEN_UNITS.into_iter().filter(|unit| usage.get(*unit).is_some_and(|count| count > 0))
}

/// Returns `true` for token counts that do not depend on the modality.
fn is_main_count(unit: Unit) -> bool {
    unit <= Unit::ReasoningTokens || unit == Unit::CacheWrite5mTokens
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use crate::usage::price_fn;

    use super::*;

    /// Prices a call of the model `answered`, which was requested as `asked`.
    fn breakdown(
        call: BillableCall<'_>,
        usage: &Usage,
        list: Vec<Iteration>,
        price: impl Fn(&PriceQuery<'_>) -> Option<u64> + Send + Sync + 'static,
    ) -> CostBreakdown {
        let book = price_fn(move |query| Some(Cost::custom(Money::from_nano_usd(price(query)?))));
        call.price(&book, usage, &Iterations { list, problem: None })
    }

    fn call(metadata: &Metadata) -> BillableCall<'_> {
        BillableCall {
            provider: Some("anthropic"),
            response_model: Some("answered"),
            request_model: Some("asked"),
            service_tier: None,
            inference_geo: None,
            time: UNIX_EPOCH,
            metadata,
        }
    }

    fn input(query: &PriceQuery<'_>) -> Option<u64> {
        query.usage.input_tokens()
    }

    fn total(breakdown: &CostBreakdown) -> Option<u64> {
        breakdown.cost.as_ref().map(|cost| cost.total.nano_usd())
    }

    #[test]
    fn falls_back_to_the_requested_model() {
        let metadata = Metadata::new();
        let usage = Usage::tokens(3, 0);
        let only = |model: &'static str| move |query: &PriceQuery<'_>| input(query).filter(|_| query.model == model);
        for model in ["answered", "asked"] {
            let breakdown = breakdown(call(&metadata), &usage, Vec::new(), only(model));
            assert_eq!((total(&breakdown), breakdown.covers_all_usage), (Some(3), true), "{model}");
        }
        let breakdown = breakdown(call(&metadata), &usage, Vec::new(), only("other"));
        assert_eq!(breakdown, CostBreakdown { cost: None, covers_all_usage: false });
    }

    #[test]
    fn prices_each_attempt_by_its_own_model() {
        let metadata = Metadata::new();
        let iteration = |model: Option<&str>, by_answering_model, tokens| Iteration {
            model: model.map(str::to_owned),
            by_answering_model,
            usage: Usage::tokens(tokens, 0),
        };
        let iterations = || vec![iteration(None, true, 1), iteration(Some("advisor"), false, 10)];
        let price = |query: &PriceQuery<'_>| match query.model {
            "answered" => input(query),
            "advisor" => input(query).map(|tokens| tokens * 100),
            _ => None,
        };
        let whole = Usage::tokens(11, 0);
        let both = breakdown(call(&metadata), &whole, iterations(), price);
        assert_eq!((total(&both), both.covers_all_usage), (Some(1_001), true));

        let mut unknown = iterations();
        unknown.push(iteration(Some("unknown"), false, 5));
        let partial = breakdown(call(&metadata), &whole, unknown, price);
        assert_eq!((total(&partial), partial.covers_all_usage), (Some(1_001), false));

        // Searches of the whole call are in no iteration.
        let searches = breakdown(call(&metadata), &whole.with(Unit::WebSearches, 1), iterations(), price);
        assert_eq!((total(&searches), searches.covers_all_usage), (Some(1_001), false));
    }

    #[test]
    fn notices_units_that_the_book_does_not_price() {
        let metadata = Metadata::new();
        let usage = Usage::tokens(3, 0).with(Unit::WebSearches, 2);
        let without = breakdown(call(&metadata), &usage, Vec::new(), input);
        assert_eq!((total(&without), without.covers_all_usage), (Some(3), false));
        let searches = |query: &PriceQuery<'_>| Some(input(query)? + query.usage.get(Unit::WebSearches).unwrap_or(0));
        let with = breakdown(call(&metadata), &usage, Vec::new(), searches);
        assert_eq!((total(&with), with.covers_all_usage), (Some(5), true));
    }

    #[test]
    fn notices_books_that_ignore_fast_mode() {
        let metadata = Metadata::new();
        let fast = BillableCall { service_tier: Some("fast"), ..call(&metadata) };
        let usage = Usage::tokens(3, 0);
        assert!(!breakdown(fast, &usage, Vec::new(), input).covers_all_usage);
        let surcharge =
            |query: &PriceQuery<'_>| input(query).map(|tokens| tokens + u64::from(query.service_tier.is_some()));
        assert!(breakdown(fast, &usage, Vec::new(), surcharge).covers_all_usage);
    }

    #[test]
    fn prices_the_main_counts_if_parts_have_no_price() {
        let metadata = Metadata::new();
        let usage = Usage::tokens(3, 0).with(Unit::CacheImageReadTokens, 1);
        let price =
            |query: &PriceQuery<'_>| input(query).filter(|_| query.usage.get(Unit::CacheImageReadTokens).is_none());
        let breakdown = breakdown(call(&metadata), &usage, Vec::new(), price);
        assert_eq!((total(&breakdown), breakdown.covers_all_usage), (Some(3), false));
    }

    #[test]
    fn a_book_that_panics_has_no_price() {
        let metadata = Metadata::new();
        let breakdown = breakdown(call(&metadata), &Usage::tokens(3, 0), Vec::new(), |_| panic!("on purpose"));
        assert_eq!(breakdown.cost, None);
    }

    #[test]
    fn removes_the_provider_from_names_of_models() {
        for (provider, model, bare) in [
            ("openai", "@my-slug/gpt-4o", "gpt-4o"),
            ("cloudflare", "@cf/meta/llama", "@cf/meta/llama"),
            ("google", "google/gemini", "gemini"),
            ("huggingface_groq", "llama:groq", "llama"),
            ("openai", "ft:gpt-4o:me", "ft:gpt-4o:me"),
        ] {
            assert_eq!(PriceQuery::bare_model(Some(provider), model), bare);
        }
    }
}
