use std::time::SystemTime;

use crate::Metadata;

use super::{
    consistency::saturated,
    money::Money,
    operation::Operation,
    price::{Cost, PriceBook, PriceQuery, price_or_none},
    unit::Unit,
    usage::Usage,
};

/// A call to price with a price book, and everything but the usage that its price depends on.
#[derive(Clone, Copy)]
pub(crate) struct BillableCall<'a> {
    pub(crate) provider: Option<&'a str>,
    /// The name of the operation.
    pub(crate) operation: Option<&'a str>,
    pub(crate) response_model: Option<&'a str>,
    pub(crate) request_model: Option<&'a str>,
    /// The tier of the response. The requested tier may not be the one that served the call.
    pub(crate) service_tier: Option<&'a str>,
    pub(crate) inference_geo: Option<&'a str>,
    pub(crate) time: SystemTime,
    pub(crate) metadata: &'a Metadata,
}

/// The cost of a call according to a price book.
#[derive(Debug, PartialEq)]
pub(crate) struct CostBreakdown {
    pub(crate) cost: Option<Cost>,
    /// Every count is part of the cost.
    pub(crate) covers_all_usage: bool,
}

/// Units that are billed in addition to tokens, or in place of them. Many models have no price for them.
const NON_TOKEN_UNITS: [Unit; 4] =
    [Unit::WebSearches, Unit::FileSearches, Unit::AudioSeconds, Unit::InputDocumentPages];

/// The models of a query, in addition to those of the call.
#[derive(Clone, Copy)]
pub(super) struct Models<'a> {
    /// The model that a run names.
    pub(super) named: Option<&'a str>,
    /// The usage is that of the model that answered.
    pub(super) answered: bool,
}

impl Models<'_> {
    /// The models of the call itself.
    const ANSWERED: Self = Self { named: None, answered: true };
}

impl BillableCall<'_> {
    /// Prices the usage of the whole call.
    pub(crate) fn price(&self, book: &dyn PriceBook, usage: &Usage) -> CostBreakdown {
        let CostBreakdown { cost, covers_all_usage } = self.price_run(book, Models::ANSWERED, usage);
        let covers_all_usage = covers_all_usage && !self.has_unreported_searches(usage);
        CostBreakdown { cost: cost.or_else(|| self.query_totals(book, usage)), covers_all_usage }
    }

    /// Prices the usage of one run of a model.
    pub(super) fn price_run(&self, book: &dyn PriceBook, models: Models<'_>, usage: &Usage) -> CostBreakdown {
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

    /// Returns `true` for OpenAI's search models. They search the web in every chat, bill that, and do not report it.
    pub(super) fn has_unreported_searches(&self, usage: &Usage) -> bool {
        let model = self.response_model.or(self.request_model).unwrap_or_default();
        matches!(self.provider, Some("openai" | "azure"))
            && self.operation.is_none_or(|operation| operation == Operation::Chat.as_str())
            && ["-search-preview", "-search-api"].iter().any(|name| model.contains(name))
            && usage.get(Unit::WebSearches).is_none()
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
        self.query(book, Models::ANSWERED, &totals)
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

/// Returns the units that were used in addition to tokens, or in place of them.
pub(super) fn used_non_token_units(usage: &Usage) -> impl Iterator<Item = Unit> {
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
        price: impl Fn(&PriceQuery<'_>) -> Option<u64> + Send + Sync + 'static,
    ) -> CostBreakdown {
        let book = price_fn(move |query| Some(Cost::custom(Money::from_nano_usd(price(query)?))));
        call.price(&book, usage)
    }

    fn call(metadata: &Metadata) -> BillableCall<'_> {
        BillableCall {
            provider: Some("anthropic"),
            operation: None,
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
            let breakdown = breakdown(call(&metadata), &usage, only(model));
            assert_eq!((total(&breakdown), breakdown.covers_all_usage), (Some(3), true), "{model}");
        }
        let breakdown = breakdown(call(&metadata), &usage, only("other"));
        assert_eq!(breakdown, CostBreakdown { cost: None, covers_all_usage: false });
    }

    #[test]
    fn notices_units_that_the_book_does_not_price() {
        let metadata = Metadata::new();
        let usage = Usage::tokens(3, 0).with(Unit::WebSearches, 2);
        let without = breakdown(call(&metadata), &usage, input);
        assert_eq!((total(&without), without.covers_all_usage), (Some(3), false));
        let searches = |query: &PriceQuery<'_>| Some(input(query)? + query.usage.get(Unit::WebSearches).unwrap_or(0));
        let with = breakdown(call(&metadata), &usage, searches);
        assert_eq!((total(&with), with.covers_all_usage), (Some(5), true));
    }

    #[test]
    fn notices_books_that_ignore_fast_mode() {
        let metadata = Metadata::new();
        let fast = BillableCall { service_tier: Some("fast"), ..call(&metadata) };
        let usage = Usage::tokens(3, 0);
        assert!(!breakdown(fast, &usage, input).covers_all_usage);
        let surcharge =
            |query: &PriceQuery<'_>| input(query).map(|tokens| tokens + u64::from(query.service_tier.is_some()));
        assert!(breakdown(fast, &usage, surcharge).covers_all_usage);
    }

    #[test]
    fn prices_the_main_counts_if_parts_have_no_price() {
        let metadata = Metadata::new();
        let usage = Usage::tokens(3, 0).with(Unit::CacheImageReadTokens, 1);
        let price =
            |query: &PriceQuery<'_>| input(query).filter(|_| query.usage.get(Unit::CacheImageReadTokens).is_none());
        let breakdown = breakdown(call(&metadata), &usage, price);
        assert_eq!((total(&breakdown), breakdown.covers_all_usage), (Some(3), false));
    }

    #[test]
    fn a_book_that_panics_has_no_price() {
        let metadata = Metadata::new();
        let breakdown = breakdown(call(&metadata), &Usage::tokens(3, 0), |_| panic!("on purpose"));
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
