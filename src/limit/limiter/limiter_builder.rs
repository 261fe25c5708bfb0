use crate::ConfigError;

use super::{
    super::{ledger::Ledger, rules::LimitRule},
    limiter::Limiter,
};

/// Builds a [`Limiter`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LimiterBuilder {
    rules: Vec<LimitRule>,
    ledger: Option<Ledger>,
}

impl LimiterBuilder {
    /// Adds a rule.
    pub fn rule(mut self, rule: LimitRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds rules.
    pub fn rules(mut self, rules: impl IntoIterator<Item = LimitRule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Sets the ledger. The default is [`Ledger::memory`].
    pub fn ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// Returns an error if two rules have the same name.
    pub fn build(self) -> Result<Limiter, ConfigError> {
        Limiter::new(self.rules, self.ledger.unwrap_or_else(Ledger::memory))
    }
}
