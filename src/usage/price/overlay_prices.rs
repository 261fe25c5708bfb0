use std::{collections::HashMap, fmt};

use super::{cost::Cost, model_version::without_date, price_book::PriceBook, price_query::PriceQuery, rates::Rates};

/// Negotiated rates on top of another price book.
///
/// ```
/// use tower_tagging::usage::{Money, OverlayPrices, PriceBook, PriceQuery, Rates, Usage, price_fn};
///
/// let usd = Money::from_nano_usd(1_000_000_000);
/// let prices = OverlayPrices::over(price_fn(|_| None)).with("openai", "gpt-4o", Rates::per_million(usd, usd + usd));
/// let usage = Usage::tokens(1_000, 100);
/// let cost = prices.price(&PriceQuery::new(Some("openai"), "gpt-4o", &usage)).unwrap();
/// assert_eq!(cost.total.to_string(), "0.0012");
/// assert_eq!(&*cost.source, "custom");
/// ```
pub struct OverlayPrices {
    base: Box<dyn PriceBook>,
    /// By provider and model, in lowercase.
    rates: HashMap<(String, String), Rates>,
}

impl OverlayPrices {
    /// Creates an empty overlay. Models without rates are priced by `base`.
    pub fn over(base: impl PriceBook) -> Self {
        Self { base: Box::new(base), rates: HashMap::new() }
    }

    /// Sets the rates of a provider's model.
    ///
    /// The model is matched by its name in the response or in the request, ignoring case, with or without the date of the
    /// version. Rates of `gpt-4o` also apply to `gpt-4o-2024-08-06`.
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
        let names = [Some(query.model), query.requested_model, Some(without_date(query.model))];
        let rates =
            names.into_iter().flatten().find_map(|name| self.rates.get(&(provider.clone(), name.to_lowercase())));
        match rates {
            Some(rates) => Some(rates.price(query.usage)),
            None => self.base.price(query),
        }
    }
}
