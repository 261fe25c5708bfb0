use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    ConfigError,
    event::{Clock, SystemClock},
    registry::ErrorStyle,
};

use super::{
    super::{ledger::Ledger, rules::LimitRule},
    estimates::Estimates,
    limiter::{Limiter, Shared},
    live_requests::LiveRequests,
    rule_set::{RuleSet, compiled},
    stored_state::StoredState,
};

/// The time after which the reservations of a process that was killed are released.
const LEASE: Duration = Duration::from_secs(60);

/// Builds a [`Limiter`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LimiterBuilder {
    rules: Vec<LimitRule>,
    ledger: Option<Ledger>,
    lease: Option<Duration>,
    errors: ErrorStyle,
    has_headers: bool,
    clock: Option<Arc<dyn Clock>>,
}

impl Limiter {
    /// Returns a builder.
    pub fn builder() -> LimiterBuilder {
        LimiterBuilder::default()
    }
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

    /// Sets the time after which reservations of a process that was killed are released. The default is one minute, and the
    /// minimum one second.
    ///
    /// While a request runs, its lease is extended at a third of that time.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease.max(Duration::from_secs(1)));
        self
    }

    /// Sets the form of rejections. The default is [`ErrorStyle::Problem`]. With [`ErrorStyle::Portkey`], exhausted budgets
    /// have the status 412, unless the rule sets another one.
    pub fn errors(mut self, style: ErrorStyle) -> Self {
        self.errors = style;
        self
    }

    /// Adds the headers `RateLimit` and `RateLimit-Policy` to responses that are allowed. Rejections have them anyway.
    ///
    /// They report rules that count requests. Amounts of money and tokens are not disclosed.
    pub fn headers_on_success(mut self) -> Self {
        self.has_headers = true;
        self
    }

    /// Sets the clock that `Retry-After` is computed with, for tests. Set that of the ledger and of the layer as well.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// Returns an error if two rules have the same name.
    pub fn build(self) -> Result<Limiter, ConfigError> {
        let rules = RuleSet::new(compiled(self.rules, &RuleSet::default())?, Vec::new(), HashMap::new());
        Ok(Limiter::of(Shared {
            rules: ArcSwap::from_pointee(rules),
            changing: Mutex::new(()),
            ledger: self.ledger.unwrap_or_else(Ledger::memory),
            estimates: Estimates::default(),
            live: LiveRequests::default(),
            extending: OnceLock::new(),
            lease: self.lease.unwrap_or(LEASE),
            errors: Mutex::new(self.errors),
            has_headers: self.has_headers,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            stored: StoredState::default(),
        }))
    }
}

impl fmt::Debug for LimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimiterBuilder")
            .field("rules", &self.rules)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
