use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{cost::Cost, price_query::PriceQuery};

/// A source of prices.
///
/// Events are priced by the book that `UsageTap::prices` sets, with the feature `llm`. Without it, a book can still be called
/// directly.
///
/// To implement it with a closure, use [`price_fn`](super::price_fn).
///
/// A price book is called on the thread that first reads the usage of an event, which is usually a sink's thread. It may be
/// called several times for one call. If it panics, the call has no price.
///
/// ```
/// use tower_tagging::usage::{Cost, Money, PriceBook, PriceQuery, Unit};
///
/// /// Prices every search at a cent, and nothing else.
/// struct SearchPrices;
///
/// impl PriceBook for SearchPrices {
///     fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
///         let searches = query.usage.get(Unit::WebSearches)?;
///         Some(Cost::custom(Money::from_nano_usd(searches * 10_000_000)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` is not a price book", note = "wrap a closure in `usage::price_fn`")]
pub trait PriceBook: Send + Sync + 'static {
    /// Returns the cost of the usage, or `None` if the model has no price in this book.
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost>;
}

impl<P: PriceBook + ?Sized> PriceBook for Arc<P> {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        (**self).price(query)
    }
}

impl<P: PriceBook + ?Sized> PriceBook for Box<P> {
    fn price(&self, query: &PriceQuery<'_>) -> Option<Cost> {
        (**self).price(query)
    }
}

/// Asks the book, and treats a panic as a missing price: a book is user code, and must not cost the request its event.
pub(in crate::usage) fn price_or_none(book: &dyn PriceBook, query: &PriceQuery<'_>) -> Option<Cost> {
    catch_unwind(AssertUnwindSafe(|| book.price(query))).ok().flatten()
}

#[cfg(test)]
mod tests {
    use crate::usage::{Money, Usage, price_fn};

    use super::{Arc, Cost, PriceBook, PriceQuery};

    #[test]
    fn smart_pointers_are_price_books() {
        fn price(book: &impl PriceBook) -> Option<Money> {
            let usage = Usage::tokens(7, 0);
            book.price(&PriceQuery::new(None, "any", &usage)).map(|cost| cost.total)
        }
        let book = || price_fn(|query| Some(Cost::custom(Money::from_nano_usd(query.usage.input_tokens()?))));
        let shared: Arc<dyn PriceBook> = Arc::new(book());
        let boxed: Box<dyn PriceBook> = Box::new(Arc::clone(&shared));
        assert_eq!([price(&shared), price(&boxed), price(&Arc::new(book()))], [Some(Money::from_nano_usd(7)); 3]);
    }
}
