use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use genai_prices::{Calculator, PriceCalculation, PriceRequest, UsageKey};

use crate::Metadata;

use super::{Money, Unit, Usage};

/// What is to be priced.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PriceQuery<'a> {
    /// Who served it, by the ids of the `genai-prices` catalog: `openai`, `anthropic`, `google`, `aws`, …
    pub provider: Option<&'a str>,
    /// The model by the name that the provider gave it, or the client asked for.
    pub model: &'a str,
    /// The model that the client asked for, where that is known too: often an alias of `model`.
    pub requested_model: Option<&'a str>,
    /// What was used.
    pub usage: &'a Usage,
    /// The tier that served it, such as `flex`, where the provider said so.
    pub service_tier: Option<&'a str>,
    /// Where it was served, such as `us`, where the provider said so: Anthropic does.
    pub inference_geo: Option<&'a str>,
    /// When the request came.
    pub time: SystemTime,
    /// The effective tags of the request, where it is known: whoever has prices of its own is told by a tag of a scope that
    /// you trust, as a client can write any other.
    pub metadata: Option<&'a Metadata>,
}

impl<'a> PriceQuery<'a> {
    /// A query for now, with no tier and no tags.
    pub fn new(provider: Option<&'a str>, model: &'a str, usage: &'a Usage) -> Self {
        Self {
            provider,
            model,
            requested_model: None,
            usage,
            service_tier: None,
            inference_geo: None,
            time: SystemTime::now(),
            metadata: None,
        }
    }
}

/// What something costs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// All of it.
    pub total: Money,
    /// The input's part, where it is known.
    pub input: Option<Money>,
    /// The output's part, where it is known.
    pub output: Option<Money>,
    /// Where the price comes from: a catalog and its version, `provider` or `custom`.
    pub source: Arc<str>,
}

impl Cost {
    /// A price of your own, with the source `custom`.
    pub fn custom(total: Money) -> Self {
        Self { total, input: None, output: None, source: "custom".into() }
    }

    /// Says what the input and the output cost of it.
    #[must_use]
    pub fn parts(mut self, input: Money, output: Money) -> Self {
        (self.input, self.output) = (Some(input), Some(output));
        self
    }

    /// Both together; a part is known where it is of both.
    pub(super) fn plus(self, other: &Self) -> Self {
        let sum = |one: Option<Money>, other: Option<Money>| Some(one? + other?);
        Self {
            total: self.total + other.total,
            input: sum(self.input, other.input),
            output: sum(self.output, other.output),
            source: sources(&[&self.source, &other.source]).unwrap_or_default(),
        }
    }

    /// Nothing, where by these prices it would cost something.
    pub(super) fn waived(self) -> Self {
        Self { total: Money::default(), input: Some(Money::default()), output: Some(Money::default()), ..self }
    }

    /// Says where the price comes from.
    #[must_use]
    pub fn source(mut self, source: impl Into<Arc<str>>) -> Self {
        self.source = source.into();
        self
    }
}

/// Where several prices come from, each source once.
pub(super) fn sources(sources: &[&Arc<str>]) -> Option<Arc<str>> {
    let mut all: Option<Arc<str>> = None;
    for &source in sources {
        all = Some(match all {
            None => Arc::clone(source),
            Some(all) => source.split(AND).fold(all, |all, name| {
                let is_named = all.split(AND).any(|other| other == name);
                if is_named { all } else { format!("{all}{AND}{name}").into() }
            }),
        });
    }
    all
}

/// Between the sources of a sum.
const AND: &str = " and ";

/// Tells what usage costs; closures from [`PriceQuery`] to an optional [`Cost`] are price books too.
///
/// It is asked on the thread that first reads the usage of an event, mostly a sink's. No price means `None`, never zero.
///
/// ```
/// use tower_tagging::usage::{CatalogPrices, Money, Cost, PriceBook, PriceQuery, UsageTap};
///
/// let catalog = CatalogPrices::bundled();
/// // Who brings a key of its own pays the provider, not us.
/// let prices = move |query: &PriceQuery<'_>| match query.metadata.and_then(|tags| tags.get("plan")) {
///     Some("own_key") => Some(Cost::custom(Money::default())),
///     _ => catalog.price(query),
/// };
/// let tap = UsageTap::new().prices(prices);
/// ```
pub trait PriceBook: Send + Sync + 'static {
    /// The price, or `None` for a model that has none here.
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost>;
}

impl<F: Fn(&PriceQuery<'_>) -> Option<Cost> + Send + Sync + 'static> PriceBook for F {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        self(query)
    }
}

impl PriceBook for Arc<dyn PriceBook> {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        (**self).price(query)
    }
}

impl PriceBook for Box<dyn PriceBook> {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        (**self).price(query)
    }
}

/// The prices of a catalog in the format of [`genai-prices`](genai_prices).
///
/// Every model is priced by the rates in effect when the request came. The tiers that providers name in their responses
/// (`flex`, `priority`, …) are priced where the catalog knows them. Anthropic's fast mode, on events the tier `fast`, and its
/// inference within the US alone are priced by the factors that Anthropic names; a model that is fast at no known price has the
/// usual one, and a cost that is `partial`.
#[derive(Clone)]
pub struct CatalogPrices {
    calculator: Calculators,
    source: Arc<str>,
}

#[derive(Clone)]
enum Calculators {
    Bundled(&'static Calculator),
    Own(Arc<Calculator>),
}

/// The release of `genai-prices` whose catalog is bundled.
const BUNDLED_SOURCE: &str = "genai-prices 0.2.1";

impl CatalogPrices {
    /// The catalog that came with this build. Decodes it, which takes some tens of milliseconds once in a process.
    pub fn bundled() -> Self {
        Self { calculator: Calculators::Bundled(Calculator::bundled()), source: BUNDLED_SOURCE.into() }
    }

    /// A catalog of your own, or a newer one from [`genai_prices::REMOTE_DATA_URL`]; `source` names it and its version on
    /// events.
    ///
    /// # Errors
    /// What `genai-prices` says of data it can't read.
    pub fn from_json(json: &[u8], source: impl Into<Arc<str>>) -> Result<Self, genai_prices::Error> {
        let calculator = Calculators::Own(Arc::new(Calculator::from_json(json)?));
        Ok(Self { calculator, source: source.into() })
    }

    fn calculator(&self) -> &Calculator {
        match &self.calculator {
            Calculators::Bundled(calculator) => calculator,
            Calculators::Own(calculator) => calculator,
        }
    }
}

impl fmt::Debug for CatalogPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogPrices").field("source", &self.source).finish_non_exhaustive()
    }
}

impl CatalogPrices {
    fn calculate(&self, query: &PriceQuery<'_>, model: &str, usage: &genai_prices::Usage) -> Option<PriceCalculation> {
        let mut request = PriceRequest::new(model, usage).with_timestamp(query.time);
        if let Some(provider) = query.provider {
            request = request.with_provider_id(provider);
        }
        if let Some(tier) = query.service_tier {
            request = request.with_price_context("service_tier", tier);
        }
        self.calculator().calculate(&request).ok()
    }

    /// Whether the model costs nothing, whatever is counted.
    fn is_free(&self, query: &PriceQuery<'_>, model: &str) -> bool {
        let mut all = genai_prices::Usage::new();
        for unit in [Unit::InputTokens, Unit::OutputTokens, Unit::AudioSeconds, Unit::InputDocumentPages] {
            all.insert(UsageKey::from_static(unit.price_key()), 1e6);
        }
        self.calculate(query, model, &all).is_some_and(|price| price.total_price == 0.0)
    }
}

impl PriceBook for CatalogPrices {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        // A part of nothing costs nothing, and to leave it out is less to work through; but where there are parts of parts,
        // the catalog wants the whole of each.
        let has_parts_of_parts = query.usage.iter().any(|(unit, count)| count > 0 && !unit.is_always_named());
        let counts = query.usage.iter().filter(|(unit, count)| *count > 0 || has_parts_of_parts || unit.is_total());
        let mut usage = genai_prices::Usage::new();
        for (unit, count) in counts {
            #[allow(clippy::cast_precision_loss, reason = "no request has so many tokens")]
            usage.insert(UsageKey::from_static(unit.price_key()), count as f64);
        }
        let by_name = |model| Some((model, self.calculate(query, model, &usage)?));
        // Some versions it knows by the name of all of them.
        let by_undated = || by_name(Some(undated(query.model)).filter(|name| *name != query.model)?);
        let (name, price) = by_name(query.model).or_else(by_undated)?;
        // Seconds, pages and the like, which models that count tokens have no price for.
        let mut used = query.usage.iter().filter(|(_, count)| *count > 0).map(|(unit, _)| unit).peekable();
        let is_without_tokens = used.peek().is_some() && used.all(|unit| !unit.is_of_tokens());
        if price.total_price == 0.0 && is_without_tokens && !self.is_free(query, name) {
            return None;
        }
        let factor = factor_of_tokens(query);
        let (input, output) = (price.input_price * factor, price.output_price * factor);
        // Searches cost what they cost.
        let others = price.total_price - price.input_price - price.output_price;
        Some(Cost {
            total: Money::from_usd(if factor > 1.0 { input + output + others } else { price.total_price })?,
            input: Money::from_usd(input),
            output: Money::from_usd(output),
            source: Arc::clone(&self.source),
        })
    }
}

/// What the prices of tokens are multiplied by where the catalog has the usual ones alone: for Anthropic's fast mode, and
/// where it serves within the US only (<https://platform.claude.com/docs/en/build-with-claude/fast-mode>,
/// <https://platform.claude.com/docs/en/build-with-claude/data-residency>). Both come together.
fn factor_of_tokens(query: &PriceQuery<'_>) -> f64 {
    if query.provider != Some("anthropic") {
        return 1.0;
    }
    let is = |name: &str| query.model.contains(name);
    let of_speed = match query.service_tier {
        Some("fast") if is("opus-4-6") || is("opus-4-7") => 6.0,
        Some("fast") if is("opus-4-8") || is("opus-5") => 2.0,
        _ => 1.0,
    };
    of_speed * if query.inference_geo == Some("us") { 1.1 } else { 1.0 }
}

/// Rates for a million tokens each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// Input that was not read from a cache or written to one.
    pub input: Money,
    /// Output.
    pub output: Money,
    /// Cache reads; the rate of input when `None`.
    pub cache_read: Option<Money>,
    /// Cache writes; the rate of input when `None`.
    pub cache_write: Option<Money>,
}

impl Rates {
    /// Rates of input and output, for a million tokens each.
    pub fn per_million(input: Money, output: Money) -> Self {
        Self { input, output, cache_read: None, cache_write: None }
    }

    /// Rates of cache reads and writes, for a million tokens each.
    #[must_use]
    pub fn cache(mut self, read: Money, write: Money) -> Self {
        (self.cache_read, self.cache_write) = (Some(read), Some(write));
        self
    }

    fn price(&self, usage: &Usage) -> Cost {
        let count = |unit| u128::from(usage.get(unit).unwrap_or(0));
        let (read, write) = (count(Unit::CacheReadTokens), count(Unit::CacheWriteTokens));
        let fresh = count(Unit::InputTokens).saturating_sub(read + write);
        let nanos = |tokens: u128, rate: Money| tokens * u128::from(rate.nano_usd());
        let money = |micro_nanos: u128| {
            // To the nearest nano-dollar.
            Money::from_nano_usd(u64::try_from((micro_nanos + 500_000) / 1_000_000).unwrap_or(u64::MAX))
        };
        let input = money(
            nanos(fresh, self.input)
                + nanos(read, self.cache_read.unwrap_or(self.input))
                + nanos(write, self.cache_write.unwrap_or(self.input)),
        );
        let output = money(nanos(count(Unit::OutputTokens), self.output));
        Cost::custom(input + output).parts(input, output)
    }
}

/// Negotiated prices over another price book.
///
/// ```
/// use tower_tagging::usage::{CatalogPrices, Money, OverlayPrices, PriceBook, PriceQuery, Rates, Usage};
///
/// let usd = Money::from_nano_usd(1_000_000_000);
/// let prices = OverlayPrices::over(CatalogPrices::bundled())
///     .with("openai", "gpt-4o", Rates::per_million(usd, usd + usd));
/// let usage = Usage::tokens(1_000, 100);
/// let price = prices.price(&PriceQuery::new(Some("openai"), "gpt-4o", &usage)).unwrap();
/// assert_eq!(price.total.to_string(), "0.0012");
/// assert_eq!(&*price.source, "custom");
/// ```
pub struct OverlayPrices {
    base: Box<dyn PriceBook>,
    rates: HashMap<(String, String), Rates>,
}

impl OverlayPrices {
    /// Asks `base` for what is not laid over it.
    pub fn over(base: impl PriceBook) -> Self {
        Self { base: Box::new(base), rates: HashMap::new() }
    }

    /// Lays the rates of a provider's model over the base: by the name that it is served or asked for by, in any case, with
    /// or without the date that versions end with (`gpt-4o` is `gpt-4o-2024-08-06` too).
    #[must_use]
    pub fn with(mut self, provider: &str, model: &str, rates: Rates) -> Self {
        self.rates.insert((provider.to_lowercase(), model.to_lowercase()), rates);
        self
    }
}

impl fmt::Debug for OverlayPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverlayPrices").field("rates", &self.rates).finish_non_exhaustive()
    }
}

impl PriceBook for OverlayPrices {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        let provider = query.provider.unwrap_or_default().to_lowercase();
        let names = [Some(query.model), query.requested_model, Some(undated(query.model))];
        let rates =
            names.into_iter().flatten().find_map(|name| self.rates.get(&(provider.clone(), name.to_lowercase())));
        match rates {
            Some(rates) => Some(rates.price(query.usage)),
            None => self.base.price(query),
        }
    }
}

/// A model's name without the date of its version: `-2024-08-06`, `-20240806` or `@20240806`.
fn undated(model: &str) -> &str {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((name, date)) = model.rsplit_once(['-', '@'])
        && digits(date, 8)
    {
        return name;
    }
    let mut parts = model.rsplitn(4, '-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(day), Some(month), Some(year), Some(name)) if digits(day, 2) && digits(month, 2) && digits(year, 4) => {
            name
        }
        _ => model,
    }
}

/// A price book that can be exchanged for another while requests run; clones share it.
///
/// ```
/// use tower_tagging::usage::{CatalogPrices, SwapPrices};
///
/// let prices = SwapPrices::new(CatalogPrices::bundled());
/// let for_the_layer = prices.clone();
/// // Later, when a newer catalog was fetched:
/// prices.swap(CatalogPrices::bundled());
/// ```
#[derive(Clone)]
pub struct SwapPrices {
    book: Arc<RwLock<Arc<dyn PriceBook>>>,
}

impl SwapPrices {
    /// Begins with this book.
    pub fn new(book: impl PriceBook) -> Self {
        Self { book: Arc::new(RwLock::new(Arc::new(book))) }
    }

    /// Exchanges the book: what is priced from now on is priced by the new one.
    pub fn swap(&self, book: impl PriceBook) {
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
    }
}

impl fmt::Debug for SwapPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwapPrices").finish_non_exhaustive()
    }
}

impl PriceBook for SwapPrices {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        // The lock is let go before the book is asked.
        let book = Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner));
        book.price(query)
    }
}
