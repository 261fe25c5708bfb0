//! Sums of requests, which stores keep per time and value, and which answers consist of.

mod histogram;
mod totals;

pub(crate) use self::histogram::Histogram;
pub use self::totals::Totals;
