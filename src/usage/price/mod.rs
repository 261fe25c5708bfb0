//! Prices: what a call costs according to a catalog, negotiated rates, or code.

mod bare_model;
#[cfg(feature = "llm")]
mod catalog_error;
#[cfg(feature = "llm")]
mod catalog_prices;
#[cfg(all(test, feature = "llm"))]
mod catalog_tests;
mod cost;
mod cost_line;
mod cost_lines;
#[cfg(feature = "llm")]
mod kind_lines;
mod model_version;
mod overlay_prices;
mod price_book;
mod price_fn;
#[cfg(feature = "llm")]
mod price_line;
#[cfg(feature = "llm")]
mod price_lines;
mod price_query;
mod rates;
mod swap_prices;
#[cfg(feature = "llm")]
mod token_lines;

#[cfg(feature = "llm")]
pub use self::{catalog_error::CatalogError, catalog_prices::CatalogPrices};
pub use self::{
    cost::Cost,
    cost_line::CostLine,
    overlay_prices::OverlayPrices,
    price_book::PriceBook,
    price_fn::{PriceFn, price_fn},
    price_query::PriceQuery,
    rates::Rates,
    swap_prices::SwapPrices,
};
pub(super) use self::{
    cost::joined_sources,
    cost_lines::{add_up, merged},
    price_book::price_or_none,
};
