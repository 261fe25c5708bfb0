use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use super::{cost::Cost, price_book::PriceBook, price_query::PriceQuery};

/// A price book that can be replaced while requests run. Clones share the same book.
///
/// ```
/// use tower_tagging::usage::{Cost, Money, SwapPrices, price_fn};
///
/// let prices = SwapPrices::new(price_fn(|_| None));
/// let for_the_layer = prices.clone();
/// // Later, when newer prices are available:
/// prices.swap(price_fn(|_| Some(Cost::custom(Money::ZERO))));
/// ```
#[derive(Clone)]
pub struct SwapPrices {
    book: Arc<RwLock<Arc<dyn PriceBook>>>,
}

impl SwapPrices {
    /// Creates a price book that starts with `book`.
    pub fn new(book: impl PriceBook) -> Self {
        Self { book: Arc::new(RwLock::new(Arc::new(book))) }
    }

    /// Replaces the book. Calls that are priced from now on use the new one.
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
        // The lock is released before user code runs.
        let book = Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner));
        book.price(query)
    }
}
