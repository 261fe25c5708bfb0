//! What a call costs: what whoever served it says, or else the price of what was counted.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::SystemTime,
};

use serde_json::{Map, Value};

use crate::Metadata;

use super::{
    Cost, Money, PriceBook, PriceQuery, Unit, Usage,
    consistency::saturated,
    iterations::{Iteration, Iterations},
    provider::HUGGING_FACE,
    response_report::ResponseReport,
    values::without_arn,
};

/// A call that is to be priced.
pub(super) struct Call<'a> {
    pub(super) provider: Option<&'a str>,
    pub(super) response_model: Option<&'a str>,
    pub(super) request_model: Option<&'a str>,
    /// The tier that served: what was asked for is not what was served.
    pub(super) service_tier: Option<&'a str>,
    pub(super) inference_geo: Option<&'a str>,
    pub(super) time: SystemTime,
    pub(super) metadata: &'a Metadata,
}

/// What a call costs by a price book.
pub(super) struct Charge {
    pub(super) price: Option<Cost>,
    /// Everything that was counted is in it.
    pub(super) is_of_all: bool,
}

/// What is billed beside tokens, or in place of them.
const BESIDE_TOKENS: [Unit; 4] = [Unit::WebSearches, Unit::FileSearches, Unit::AudioSeconds, Unit::InputDocumentPages];

impl Call<'_> {
    /// Prices what was counted, each attempt by itself; what is waived is counted and not billed.
    pub(super) fn charge(&self, book: &dyn PriceBook, usage: &Usage, attempts: &Iterations, is_waived: bool) -> Charge {
        if attempts.list.is_empty() {
            let (whole, is_of_all) = self.ask_for_all(book, None, true, usage);
            let price = whole.or_else(|| self.ask_for_totals(book, usage));
            return Charge { price: if is_waived { price.map(Cost::waived) } else { price }, is_of_all };
        }
        // What is counted for the whole alone is of no attempt that could be asked for.
        let is_of_some = |unit| attempts.list.iter().any(|attempt| attempt.usage.get(unit).is_some());
        let is_of_all = BESIDE_TOKENS.into_iter().all(|unit| usage.get(unit).unwrap_or(0) == 0 || is_of_some(unit));
        let mut charge = Charge { price: None, is_of_all };
        for Iteration { model, by_answering_model, usage } in &attempts.list {
            let (price, is_of_all) = self.ask_for_all(book, model.as_deref(), *by_answering_model, usage);
            charge.is_of_all &= is_of_all;
            charge.price = match (charge.price, price) {
                (Some(sum), Some(price)) => Some(sum.plus(&price)),
                (sum, price) => sum.or(price),
            };
        }
        charge
    }

    /// The price, and whether it is of all that was counted: not every model that searches or listens has a price for that.
    fn ask_for_all(
        &self,
        book: &dyn PriceBook,
        named: Option<&str>,
        is_of_answer: bool,
        usage: &Usage,
    ) -> (Option<Cost>, bool) {
        let Some(price) = self.ask(book, named, is_of_answer, usage) else { return (None, false) };
        let leaves_out = BESIDE_TOKENS.into_iter().any(|unit| {
            usage.get(unit).is_some_and(|count| count > 0) && {
                let others = usage.iter().filter(|(other, _)| *other != unit);
                let others = others.fold(Usage::new(), |usage, (unit, count)| usage.with(unit, count));
                let without = self.ask(book, named, is_of_answer, &others);
                without.is_none_or(|without| without.total == price.total)
            }
        });
        // What is faster costs more, and a book that says otherwise does not know.
        let ignores_speed = self.service_tier == Some("fast") && price.total > Money::default() && {
            let usual = Call { service_tier: None, ..*self };
            usual.ask(book, named, is_of_answer, usage).is_some_and(|usual| usual.total == price.total)
        };
        (Some(price), !leaves_out && !ignores_speed)
    }

    /// The price of usage by the model of this name, or else, where it is of the answer, of the model that answered.
    fn ask(&self, book: &dyn PriceBook, named: Option<&str>, is_of_answer: bool, usage: &Usage) -> Option<Cost> {
        let Self { provider, response_model, request_model, service_tier, inference_geo, time, metadata } = *self;
        let mut answered_by = [response_model, request_model];
        if provider == Some("aws") {
            // What is asked for tells of the region, on which the price depends.
            answered_by.reverse();
        }
        let usage = saturated(usage);
        let models = [named].into_iter().chain(answered_by.into_iter().filter(|_| is_of_answer));
        models.flatten().map(|model| without_provider(provider, model)).find_map(|model| {
            let requested_model = request_model.filter(|_| is_of_answer);
            let (usage, metadata) = (&usage, Some(metadata));
            ask_book(
                book,
                &PriceQuery { provider, model, requested_model, usage, service_tier, inference_geo, time, metadata },
            )
        })
    }

    /// The price by what is counted of every kind of input and output, where no price can be told of the parts: what of an
    /// image was cached, for one.
    fn ask_for_totals(&self, book: &dyn PriceBook, usage: &Usage) -> Option<Cost> {
        let totals = usage.iter().filter(|(unit, _)| unit.is_of_any_kind());
        let totals = totals.fold(Usage::new(), |usage, (unit, count)| usage.with(unit, count));
        let has_parts = totals.input_tokens().is_some() && totals.iter().count() < usage.iter().count();
        has_parts.then(|| self.ask(book, None, true, &totals)).flatten()
    }
}

/// The price, or none where the book panics: it is the user's code, and must not cost anybody an event.
pub(super) fn ask_book(book: &dyn PriceBook, query: &PriceQuery<'_>) -> Option<Cost> {
    catch_unwind(AssertUnwindSafe(|| book.price(query))).ok().flatten()
}

/// What a call costs by whoever served it: nothing out of a gateway's cache, what the provider says that it charges, or else
/// LiteLLM, but for a stream, whose cost it can't know with the head.
pub(super) fn told(provider: Option<&str>, reading: &ResponseReport, is_stream: bool) -> Option<Cost> {
    if reading.headers.is_from_cache {
        let nothing = Money::default();
        return Some(Cost::custom(nothing).parts(nothing, nothing).source("cache"));
    }
    let by_litellm = || Some(Cost::custom(reading.headers.cost.filter(|_| !is_stream)?).source("litellm"));
    reported_price(provider, &reading.usage).or_else(by_litellm)
}

/// What a provider says that it charges for the call, which is more than tokens.
fn reported_price(provider: Option<&str>, report: &Map<String, Value>) -> Option<Cost> {
    let usd = |value: &Value| Money::from_usd(value.as_f64()?);
    let cost = report.get("cost");
    let price = match provider? {
        // Of Vercel it is its gateway.
        "openrouter" | "vercel" => {
            // What the provider charges of whom the caller has a key comes on top.
            let upstream = report.get("cost_details").and_then(|details| details.get("upstream_inference_cost"));
            let upstream = upstream.filter(|_| report.get("is_byok") == Some(&Value::Bool(true))).and_then(usd);
            Cost::custom(usd(cost?)? + upstream.unwrap_or_default())
        }
        // Searches and other requests included.
        "perplexity" => {
            let cost = cost?.as_object()?;
            let is_usd = cost.get("currency").is_none_or(|currency| currency == "USD");
            Cost::custom(usd(cost.get("total_cost").filter(|_| is_usd)?)?)
        }
        // Ten billion ticks are a dollar.
        "x-ai" => Cost::custom(Money::from_nano_usd(report.get("cost_in_usd_ticks")?.as_u64()?.saturating_add(5) / 10)),
        _ => return None,
    };
    Some(price.source("provider"))
}

/// A model's name without what it says of the provider: the slug of Portkey's catalog, the address in Bedrock's ARNs, Google as
/// its publisher, where Vertex speaks as OpenAI does, and whom Hugging Face hands the call on to.
fn without_provider<'m>(provider: Option<&str>, model: &'m str) -> &'m str {
    // So begin the names of models of Workers AI too.
    let is_of_catalog = |slug: &str| !["cf", "hf"].iter().any(|name| slug.eq_ignore_ascii_case(name));
    let model = match model.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
        Some((slug, name)) if is_of_catalog(slug) => name,
        _ => model,
    };
    match provider {
        Some("aws") => without_arn(model),
        Some("google") => model.strip_prefix("google/").unwrap_or(model),
        Some(provider) if provider.starts_with(HUGGING_FACE) => model.split_once(':').map_or(model, |(name, _)| name),
        _ => model,
    }
}
