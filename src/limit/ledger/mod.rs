//! Where limits are counted.

mod amounts;
pub(crate) mod backend;
#[cfg(test)]
mod books_tests;
#[cfg(any(feature = "postgres", feature = "redis", test))]
mod chunked;
#[cfg(test)]
mod gcra_tests;
mod ledger;
mod ledger_error;
mod ledger_status;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod remote;
mod scan_pages;

#[cfg(feature = "postgres")]
pub use self::postgres::PostgresLedger;
#[cfg(feature = "redis")]
pub use self::redis::RedisLedger;
pub use self::{ledger::Ledger, ledger_error::LedgerError, ledger_status::LedgerStatus};
pub(crate) use self::{memory::Books, scan_pages::ScanPages};

#[cfg(test)]
mod tests;
