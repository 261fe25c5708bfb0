//! The sections of a configuration file about limits: `limits`, `alerts`, and `ledger`.

mod ledger_settings;
mod limit_settings;
mod read_alerts;
mod read_ledger;
mod read_rules;
mod values;

pub use self::{ledger_settings::LedgerSettings, limit_settings::LimitSettings};
