use std::fmt;

use super::{cost::Cost, price_book::PriceBook, price_query::PriceQuery};

/// Creates a [`PriceBook`] from a closure.
///
/// ```
/// use tower_tagging::usage::{Cost, Money, price_fn};
///
/// // One cent for every 1,000 input tokens.
/// let prices = price_fn(|query| {
///     let tokens = query.usage.input_tokens()?;
///     Some(Cost::custom(Money::from_nano_usd(tokens * 10_000)))
/// });
/// ```
///
/// A closure can fall back to another book, and read trusted tags:
///
#[cfg_attr(feature = "llm", doc = "```")]
#[cfg_attr(not(feature = "llm"), doc = "```ignore")]
/// use tower_tagging::usage::{CatalogPrices, Cost, Money, PriceBook, UsageTap, price_fn};
///
/// let catalog = CatalogPrices::bundled();
/// // Tenants with their own key pay the provider directly.
/// let prices = price_fn(move |query| match query.metadata.and_then(|tags| tags.get("plan")) {
///     Some("own_key") => Some(Cost::custom(Money::ZERO)),
///     _ => catalog.price(query),
/// });
/// let tap = UsageTap::new().prices(prices);
/// ```
pub fn price_fn<F>(price: F) -> PriceFn<F>
where
    F: Fn(&PriceQuery<'_>) -> Option<Cost> + Send + Sync + 'static,
{
    PriceFn { price }
}

/// A [`PriceBook`] that calls a closure; see [`price_fn`].
#[derive(Clone, Copy)]
pub struct PriceFn<F> {
    price: F,
}

impl<F> PriceBook for PriceFn<F>
where
    F: Fn(&PriceQuery<'_>) -> Option<Cost> + Send + Sync + 'static,
{
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        (self.price)(query)
    }
}

impl<F> fmt::Debug for PriceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriceFn").finish_non_exhaustive()
    }
}
