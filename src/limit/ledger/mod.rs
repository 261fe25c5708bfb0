//! Where limits are counted.

pub(crate) mod backend;
#[cfg(test)]
mod books_tests;
#[cfg(test)]
mod gcra_tests;
mod ledger;
mod ledger_error;
mod ledger_status;
mod memory;

pub use self::{ledger::Ledger, ledger_error::LedgerError, ledger_status::LedgerStatus};
