use std::{fmt, sync::Arc};

use genai_prices::{Calculator, PriceCalculation, PriceRequest, UsageKey};

use crate::usage::{money::Money, unit::Unit, usage::Usage};

use super::{
    catalog_error::CatalogError,
    cost::Cost,
    cost_lines::rounded,
    kind_lines::{KindLines, kind_lines},
    model_version::without_date,
    price_book::PriceBook,
    price_line::{PriceLine, TokenCounts},
    price_lines::PriceLines,
    price_query::PriceQuery,
    token_lines::{cache_savings, token_lines},
};

/// Prices from a catalog in the format of [genai-prices](https://github.com/pydantic/genai-prices).
///
/// Each call is priced at the rates in effect at the time of the request. Service tiers that providers report in their
/// responses (`flex`, `priority`, …) are priced if the catalog has rates for them.
///
/// Two surcharges of Anthropic are not in the catalog and are applied as published factors:
/// [fast mode](https://platform.claude.com/docs/en/build-with-claude/fast-mode), which events report as the tier `fast`, and
/// [inference within the US](https://platform.claude.com/docs/en/build-with-claude/data-residency). A model whose fast mode
/// has no known factor is priced at the usual rates, with the cost status `partial`.
///
/// ```
/// use tower_tagging::usage::{CatalogPrices, PriceBook, PriceQuery, Usage};
///
/// let usage = Usage::tokens(1_000, 100);
/// let cost = CatalogPrices::bundled().price(&PriceQuery::new(Some("openai"), "gpt-4o", &usage)).unwrap();
/// assert_eq!(cost.total.to_string(), "0.0035");
/// ```
#[derive(Clone)]
pub struct CatalogPrices {
    calculator: SharedCalculator,
    source: Arc<str>,
    lines: Arc<PriceLines>,
}

#[derive(Clone)]
enum SharedCalculator {
    Bundled(&'static Calculator),
    Loaded(Arc<Calculator>),
}

/// The source of bundled prices on events. `genai-prices` exposes neither its version nor the date of its data, and Cargo
/// may select any release of this minor version.
const BUNDLED_SOURCE: &str = "genai-prices 0.2";

impl CatalogPrices {
    /// Returns the catalog that is bundled with `genai-prices`.
    ///
    /// The first call in a process decodes the catalog, which takes tens of milliseconds.
    pub fn bundled() -> Self {
        Self::new(SharedCalculator::Bundled(Calculator::bundled()), BUNDLED_SOURCE.into())
    }

    /// Reads a catalog, such as a newer release of the bundled one.
    ///
    /// `source` names the catalog and its version on events. The format is the v2 provider data of `genai-prices`.
    ///
    /// # Errors
    ///
    /// Returns an error if the data is not valid JSON or not a valid catalog.
    pub fn from_json(json: &[u8], source: impl Into<Arc<str>>) -> Result<Self, CatalogError> {
        let calculator = Calculator::from_json(json).map_err(CatalogError::new)?;
        Ok(Self::new(SharedCalculator::Loaded(Arc::new(calculator)), source.into()))
    }

    fn new(calculator: SharedCalculator, source: Arc<str>) -> Self {
        Self { calculator, source, lines: Arc::default() }
    }

    /// Returns `true` if there is a line for such calls.
    #[cfg(test)]
    pub(super) fn has_line(&self, query: &PriceQuery<'_>) -> bool {
        TokenCounts::of(query.usage).is_some_and(|tokens| self.lines.get(query, tokens, || None).is_some())
    }

    fn calculator(&self) -> &Calculator {
        match &self.calculator {
            SharedCalculator::Bundled(calculator) => calculator,
            SharedCalculator::Loaded(calculator) => calculator,
        }
    }

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

    /// Returns the calculated price, and the name of the model in the catalog.
    fn find<'a>(&self, query: &PriceQuery<'a>, usage: &genai_prices::Usage) -> Option<(&'a str, PriceCalculation)> {
        let by_name = |name: &'a str| Some((name, self.calculate(query, name, usage)?));
        // Some versions are listed only by the name that they share.
        let by_undated_name = || by_name(Some(without_date(query.model)).filter(|name| *name != query.model)?);
        by_name(query.model).or_else(by_undated_name)
    }

    /// Returns the cost by the line of the model, or `None` if the catalog itself must price the call.
    fn price_by_line(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        let tokens = TokenCounts::of(query.usage).filter(|_| token_factor(query) <= 1.0)?;
        let line = self.lines.get(query, tokens, || self.derive_line(query, tokens))?;
        let [input, output, total] = line.nano_dollars(tokens)?.map(Money::from_nano_usd);
        (total > Money::ZERO).then(|| Cost {
            total,
            input: Some(input),
            output: Some(output),
            lines: token_lines(&line, tokens, total),
            cache_savings: cache_savings(&line, tokens),
            source: Arc::clone(&self.source),
        })
    }

    /// Returns the cost of each kind of usage for a call that the catalog itself priced.
    fn kind_lines(&self, query: &PriceQuery<'_>, price: &PriceCalculation, total: Money) -> Option<KindLines> {
        self.known_lines(query, total).or_else(|| {
            let costs = |price: &PriceCalculation| [price.input_price, price.output_price, price.total_price];
            let price_of = |usage: &Usage| Some(costs(&self.find(query, &catalog_usage(usage))?.1));
            kind_lines(query.usage, costs(price), token_factor(query), total, price_of)
        })
    }

    /// Returns the lines that the call has without the counts that do not change its price, if a price line is known.
    fn known_lines(&self, query: &PriceQuery<'_>, total: Money) -> Option<KindLines> {
        let counts = query.usage.filtered(TokenCounts::include);
        if counts == *query.usage {
            return None;
        }
        let Cost { total: known, lines, cache_savings, .. } =
            self.price_by_line(&PriceQuery { usage: &counts, ..*query })?;
        let is_same = known.nano_usd().abs_diff(total.nano_usd()) <= 1;
        let lines = rounded(lines.filter(|_| is_same)?, total)?;
        Some(KindLines { lines, cache_savings: cache_savings? })
    }

    fn derive_line(&self, query: &PriceQuery<'_>, tokens: TokenCounts) -> Option<PriceLine> {
        PriceLine::derive(tokens, |tokens| {
            let usage = tokens.iter().fold(Usage::new(), |usage, (unit, count)| usage.with(unit, count));
            let (_, price) = self.find(query, &catalog_usage(&usage))?;
            Some([price.input_price, price.output_price, price.total_price])
        })
    }

    /// Returns `true` if the model is free, for any usage.
    fn is_free(&self, query: &PriceQuery<'_>, model: &str) -> bool {
        let mut usage = genai_prices::Usage::new();
        for unit in [Unit::InputTokens, Unit::OutputTokens, Unit::AudioSeconds, Unit::InputDocumentPages] {
            usage.insert(key(unit), 1e6);
        }
        self.calculate(query, model, &usage).is_some_and(|price| price.total_price == 0.0)
    }
}

impl fmt::Debug for CatalogPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogPrices").field("source", &self.source).finish_non_exhaustive()
    }
}

impl PriceBook for CatalogPrices {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        if let Some(cost) = self.price_by_line(query) {
            return Some(cost);
        }
        let (name, price) = self.find(query, &catalog_usage(query.usage))?;
        if price.total_price == 0.0 && has_no_used_tokens(query.usage) && !self.is_free(query, name) {
            // The model is priced by tokens alone, so the price of its seconds or pages is unknown.
            return None;
        }
        let factor = token_factor(query);
        let (input, output) = (price.input_price * factor, price.output_price * factor);
        // Factors apply to tokens only, not to searches.
        let other = price.total_price - price.input_price - price.output_price;
        let total = if factor > 1.0 { input + output + other } else { price.total_price };
        if [input, output, total].into_iter().any(is_near_half)
            && let Some(cost) = self.price_by_line(query)
        {
            return Some(cost);
        }
        let total = Money::from_usd(total)?;
        let (lines, cache_savings) = self
            .kind_lines(query, &price, total)
            .map_or((None, None), |found| (Some(found.lines), Some(found.cache_savings)));
        Some(Cost {
            total,
            input: Money::from_usd(input),
            output: Money::from_usd(output),
            lines,
            cache_savings,
            source: Arc::clone(&self.source),
        })
    }
}

/// Returns `true` if floating-point errors may decide how an amount is rounded to nano-dollars. Lines are exact.
fn is_near_half(dollars: f64) -> bool {
    let nanos = dollars.abs() * 1e9;
    (nanos.fract() - 0.5).abs() <= 1e-4 + nanos * 1e-12
}

/// Converts counts to those of the catalog.
///
/// Counts of zero are omitted, since they cost nothing and take time to price. If there are parts of parts, such as cached
/// audio, the catalog needs all counts.
fn catalog_usage(usage: &Usage) -> genai_prices::Usage {
    let has_parts_of_parts = usage.iter().any(|(unit, count)| count > 0 && !unit.is_always_serialized());
    let is_total = |unit| matches!(unit, Unit::InputTokens | Unit::OutputTokens);
    let mut counts = genai_prices::Usage::new();
    for (unit, count) in usage.iter().filter(|(unit, count)| *count > 0 || has_parts_of_parts || is_total(*unit)) {
        #[allow(clippy::cast_precision_loss, reason = "no request has 2^53 tokens")]
        counts.insert(key(unit), count as f64);
    }
    counts
}

/// Returns the catalog's name of a unit.
fn key(unit: Unit) -> UsageKey {
    UsageKey::from_static(match unit {
        Unit::ReasoningTokens => "output_reasoning_tokens",
        Unit::CitationTokens => "output_citation_tokens",
        Unit::FileSearches => "storage_searches",
        unit => unit.as_str(),
    })
}

/// Returns `true` if something was used, but no tokens.
fn has_no_used_tokens(usage: &Usage) -> bool {
    let is_token = |unit: Unit| unit < Unit::WebSearches;
    let mut used = usage.iter().filter(|(_, count)| *count > 0).map(|(unit, _)| unit).peekable();
    used.peek().is_some() && !used.any(is_token)
}

/// Returns the factor of Anthropic's surcharges on tokens, which the catalog lacks. Surcharges multiply.
fn token_factor(query: &PriceQuery<'_>) -> f64 {
    if query.provider != Some("anthropic") {
        return 1.0;
    }
    let is = |name: &str| query.model.contains(name);
    let speed = match query.service_tier {
        Some("fast") if is("opus-4-6") || is("opus-4-7") => 6.0,
        Some("fast") if is("opus-4-8") || is("opus-5") => 2.0,
        _ => 1.0,
    };
    speed * if query.inference_geo == Some("us") { 1.1 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::{CatalogPrices, PriceBook, PriceQuery, Unit, Usage};

    #[test]
    fn reports_why_a_catalog_is_invalid() {
        let error = CatalogPrices::from_json(b"not JSON", "broken").unwrap_err().to_string();
        assert!(error.starts_with("invalid price catalog: expected provider data"), "{error}");
    }

    #[test]
    fn knows_no_price_of_units_that_a_model_is_not_priced_by() {
        let catalog = CatalogPrices::bundled();
        let pages = Usage::new().with(Unit::InputDocumentPages, 1_000);
        assert_eq!(catalog.price(&PriceQuery::new(Some("openai"), "gpt-4o", &pages)), None);
        assert!(catalog.price(&PriceQuery::new(Some("openai"), "gpt-4o", &Usage::tokens(0, 0))).is_some());
    }

    #[test]
    fn applies_surcharges_that_the_catalog_lacks() {
        let usage = Usage::tokens(1_000_000, 0);
        let query = PriceQuery::new(Some("anthropic"), "claude-opus-4-6", &usage);
        let catalog = CatalogPrices::bundled();
        let dollars = |query: &PriceQuery<'_>| catalog.price(query).unwrap().total.usd();
        let usual = dollars(&query);
        let fast = PriceQuery { service_tier: Some("fast"), ..query };
        assert!((dollars(&fast) / usual - 6.0).abs() < 1e-9);
        let fast_in_the_us = PriceQuery { inference_geo: Some("us"), ..fast };
        assert!((dollars(&fast_in_the_us) / usual - 6.6).abs() < 1e-9);
        // The catalog's price has been cached.
        let in_the_us = PriceQuery { inference_geo: Some("us"), ..query };
        for _ in 0..3 {
            assert!((dollars(&query) / usual - 1.0).abs() < 1e-9);
            assert!((dollars(&in_the_us) / usual - 1.1).abs() < 1e-9);
        }
    }
}
