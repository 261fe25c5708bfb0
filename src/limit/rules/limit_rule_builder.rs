use std::time::{Duration, SystemTime};

use http::StatusCode;

use crate::{
    ConfigError,
    config_error::ConfigProblems,
    registry::Glob,
    store::{Dimension, Field},
};

use super::{
    super::window::Window, Amount, Condition, LimitDecision, LimitKind, LimitMode, LimitRule, LimitUnit, OnMissing,
    Raise,
};

/// Maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 128;

/// The problem of a rule that does not say what happens while the ledger is not available.
pub(crate) const NO_DECISION: &str = "on_store_error: expected a decision, allow or deny: there is no default";

/// Maximum time of a rate.
const MAX_RATE: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// The fields of a request that conditions and groups use. They are known before the request is served.
const FIELDS: &[Field] =
    &[Field::ApiKey, Field::Workspace, Field::VirtualKey, Field::Provider, Field::RequestModel, Field::Route];

/// Builds a [`LimitRule`].
///
/// [`on_store_error`](Self::on_store_error) must be called, and [`on_unpriced`](Self::on_unpriced) for limits on cost: both
/// decide between lost money and lost requests.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LimitRuleBuilder {
    name: String,
    title: Option<String>,
    kind: LimitKind,
    when: Vec<Condition>,
    exclude: Vec<Condition>,
    group_by: Vec<Dimension>,
    on_missing: OnMissing,
    on_unpriced: Option<LimitDecision>,
    on_store_error: Option<LimitDecision>,
    mode: LimitMode,
    status: StatusCode,
    estimate: Option<Amount>,
    raises: Vec<Raise>,
    concurrent: Option<u32>,
    cut_streams: Option<f64>,
    charge_unknown: bool,
    chunk: Option<Amount>,
    problems: ConfigProblems,
}

impl LimitRule {
    /// Returns a builder of a budget.
    pub fn budget(name: impl Into<String>, amount: Amount, window: Window) -> LimitRuleBuilder {
        LimitRuleBuilder::new(name.into(), LimitKind::Budget { amount, window })
    }

    /// Returns a builder of a rate: this amount per time. After a pause, the whole amount is available at once.
    pub fn rate(name: impl Into<String>, amount: Amount, per: Duration) -> LimitRuleBuilder {
        let burst = amount.clone();
        LimitRuleBuilder::new(name.into(), LimitKind::Rate { amount, per, burst })
    }

    /// Returns a builder of a limit on requests that run at the same time.
    pub fn concurrency(name: impl Into<String>, requests: u32) -> LimitRuleBuilder {
        LimitRuleBuilder::new(name.into(), LimitKind::Concurrency { requests })
    }
}

impl LimitRuleBuilder {
    fn new(name: String, kind: LimitKind) -> Self {
        Self {
            name,
            title: None,
            kind,
            when: Vec::new(),
            exclude: Vec::new(),
            group_by: Vec::new(),
            on_missing: OnMissing::default(),
            on_unpriced: None,
            on_store_error: None,
            mode: LimitMode::default(),
            status: StatusCode::TOO_MANY_REQUESTS,
            estimate: None,
            raises: Vec::new(),
            concurrent: None,
            cut_streams: None,
            charge_unknown: false,
            chunk: None,
            problems: ConfigProblems::default(),
        }
    }

    /// Sets a name for people.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Applies the rule only to requests whose property matches one of the patterns. All conditions must hold.
    ///
    /// The property is `metadata.KEY`, `api_key`, `workspace`, `virtual_key`, `provider`, `model` (the one that the client
    /// requested), or `route`. Patterns have `*` and `?`; `*` alone matches every value that is present.
    pub fn when<T: Into<String>>(mut self, property: &str, patterns: impl IntoIterator<Item = T>) -> Self {
        let condition = self.condition(property, patterns);
        self.when.extend(condition);
        self
    }

    /// Exempts requests whose property matches one of the patterns.
    pub fn exclude<T: Into<String>>(mut self, property: &str, patterns: impl IntoIterator<Item = T>) -> Self {
        let condition = self.condition(property, patterns);
        self.exclude.extend(condition);
        self
    }

    /// Counts each value of a property on its own. Several properties form groups by the combination of their values.
    pub fn group_by(mut self, property: &str) -> Self {
        let dimension = self.dimension(property);
        self.group_by.extend(dimension);
        self
    }

    /// Sets what happens to requests without a property. The default is [`OnMissing::Skip`].
    pub fn on_missing(mut self, on_missing: OnMissing) -> Self {
        self.on_missing = on_missing;
        self
    }

    /// Sets the decision about LLM calls whose model has no known price. Limits on cost require it.
    pub fn on_unpriced(mut self, decision: LimitDecision) -> Self {
        self.on_unpriced = Some(decision);
        self
    }

    /// Sets the decision while the ledger is not available. Required. Recommended are [`LimitDecision::Allow`] for rates, and
    /// [`LimitDecision::Deny`] for money.
    pub fn on_store_error(mut self, decision: LimitDecision) -> Self {
        self.on_store_error = Some(decision);
        self
    }

    /// Sets the effect. The default is [`LimitMode::Enforce`].
    pub fn mode(mut self, mode: LimitMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the status of rejections. The default is 429; another choice is 402.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets the amount that a call reserves if no better estimate is available. The default is 0.01 USD or 1,000 tokens, and at
    /// most a tenth of the limit.
    pub fn estimate(mut self, amount: Amount) -> Self {
        self.estimate = Some(amount);
        self
    }

    /// Raises the budget until a time.
    pub fn raise(mut self, amount: Amount, until: SystemTime) -> Self {
        self.raises.push(Raise { amount, until });
        self
    }

    /// Sets the amount of a rate that is available at once after a pause.
    pub fn burst(mut self, burst: Amount) -> Self {
        match &mut self.kind {
            LimitKind::Rate { burst: current, .. } => *current = burst,
            _ => self.problems.push(ConfigError::new("burst: only rates have a burst")),
        }
        self
    }

    /// Limits the requests that run at the same time, in addition to a rate.
    pub fn concurrent(mut self, requests: u32) -> Self {
        self.concurrent = Some(requests);
        self
    }

    /// Ends a stream once its estimated use exceeds the reservation by this factor. Off by default.
    ///
    /// The client receives the part of the response that was sent. The event has the outcome `failed` and the error
    /// `budget_cut`.
    pub fn cut_streams(mut self, factor: f64) -> Self {
        self.cut_streams = Some(factor);
        self
    }

    /// Counts what a call reserved if its usage and cost remain unknown. Off by default: the unknown counts as zero.
    ///
    /// Providers report the usage of a stream at its end, so a client that leaves earlier, or a stream that was
    /// [cut](Self::cut_streams), would otherwise cost nothing. The reserved amount is on the event as the diagnostic
    /// `limit_reserved`, with the name of the rule and the amount in the units of the ledger. The cost of the event stays unknown.
    /// A call that the provider refused with a status of 400 or higher counts as zero.
    pub fn charge_unknown(mut self, is_charged: bool) -> Self {
        self.charge_unknown = is_charged;
        self
    }

    /// Lets each process borrow this amount from a remote ledger at once, for high rates.
    ///
    /// Requests then take from the borrowed chunk without a round trip. The overshoot is at most the number of processes times
    /// the chunk. The default is 0, which is exact.
    pub fn chunk(mut self, amount: Amount) -> Self {
        self.chunk = Some(amount);
        self
    }

    /// Builds the rule.
    ///
    /// # Errors
    ///
    /// Returns every problem, such as a missing decision, an unknown property, or an amount in another unit.
    pub fn build(mut self) -> Result<LimitRule, ConfigError> {
        self.check();
        self.problems.into_result()?;
        Ok(LimitRule {
            name: self.name.into(),
            title: self.title,
            kind: self.kind,
            when: self.when,
            exclude: self.exclude,
            group_by: self.group_by,
            on_missing: self.on_missing,
            on_unpriced: self.on_unpriced.unwrap_or(LimitDecision::Allow),
            on_store_error: self.on_store_error.unwrap_or(LimitDecision::Deny),
            mode: self.mode,
            status: self.status,
            estimate: self.estimate,
            raises: self.raises,
            created_at: None,
            concurrent: self.concurrent,
            cut_streams: self.cut_streams,
            charge_unknown: self.charge_unknown,
            chunk: self.chunk.map_or(0, |amount| amount.count),
        })
    }

    fn problem(&mut self, message: impl Into<String>) {
        self.problems.push(ConfigError::new(message));
    }

    fn dimension(&mut self, property: &str) -> Option<Dimension> {
        let property = if property == "model" { Field::RequestModel.as_str() } else { property };
        let found = Dimension::from_name(property).filter(|dimension| match dimension {
            Dimension::Tag(_) => true,
            Dimension::Field(field) => FIELDS.contains(field),
        });
        if found.is_none() {
            self.problem(format!(
                "unknown property {property:?}: expected metadata.KEY, api_key, workspace, virtual_key, provider, model, or route"
            ));
        }
        found
    }

    fn condition<T: Into<String>>(
        &mut self,
        property: &str,
        patterns: impl IntoIterator<Item = T>,
    ) -> Option<Condition> {
        let dimension = self.dimension(property)?;
        let mut parsed = Vec::new();
        for pattern in patterns {
            let pattern = pattern.into();
            match Glob::parse(&pattern) {
                Some(glob) => parsed.push(glob),
                None => self.problem(format!("{property}: invalid pattern {pattern:?}: it ends within an escape")),
            }
        }
        if parsed.is_empty() {
            self.problem(format!("{property}: expected at least one pattern"));
        }
        Some(Condition { dimension, patterns: parsed })
    }

    /// Reports what is missing or contradicts something else.
    fn check(&mut self) {
        if self.name.trim().is_empty() || self.name.chars().count() > MAX_NAME_CHARS {
            self.problem(format!("invalid name {:?}: expected 1 to {MAX_NAME_CHARS} characters", self.name));
        }
        if self.name.chars().any(char::is_control) {
            self.problem(format!("invalid name {:?}: control characters are not allowed", self.name));
        }
        if self.on_store_error.is_none() {
            self.problem(NO_DECISION);
        }
        let unit = self.unit();
        if unit == LimitUnit::Cost && self.on_unpriced.is_none() {
            self.problem("on_unpriced: expected a decision, allow or deny: there is no default for limits on cost");
        }
        let others = [
            ("estimate", self.estimate.as_ref()),
            ("chunk", self.chunk.as_ref()),
            (
                "burst",
                match &self.kind {
                    LimitKind::Rate { burst, .. } => Some(burst),
                    _ => None,
                },
            ),
        ];
        let raises = self.raises.iter().map(|raise| ("raises", Some(&raise.amount)));
        let wrong: Vec<String> = others
            .into_iter()
            .chain(raises)
            .filter_map(|(name, amount)| Some((name, amount?)))
            .filter(|(_, amount)| amount.unit != unit)
            .map(|(name, amount)| format!("{name}: expected an amount in {unit}, found {amount}"))
            .collect();
        wrong.into_iter().for_each(|message| self.problem(message));
        match &self.kind {
            LimitKind::Budget { amount, .. } if amount.count <= 0 => self.problem("amount: expected more than zero"),
            LimitKind::Budget { .. } if self.concurrent.is_some() => {
                self.problem("concurrent: expected a rate, not a budget");
            }
            LimitKind::Rate { amount, per, burst } => {
                if amount.count <= 0 || burst.count <= 0 {
                    self.problem("amount: expected more than zero");
                } else if per.is_zero() || *per > MAX_RATE {
                    self.problem(format!("window: expected more than zero and at most {MAX_RATE:?}"));
                }
                if !self.raises.is_empty() {
                    self.problem("raises: expected a budget, not a rate");
                }
            }
            LimitKind::Concurrency { requests: 0 } => self.problem("requests: expected more than zero"),
            LimitKind::Budget { .. } | LimitKind::Concurrency { .. } => {}
        }
        if self.concurrent == Some(0) {
            self.problem("concurrent: expected more than zero");
        }
        if !self.status.is_client_error() {
            self.problem(format!("status: expected a status from 400 to 499, found {}", self.status.as_u16()));
        }
        let is_of_calls =
            matches!(self.kind, LimitKind::Budget { .. }) && matches!(unit, LimitUnit::Cost | LimitUnit::Tokens);
        if self.cut_streams.is_some() && !is_of_calls {
            self.problem("cut_streams: expected a budget of cost or tokens");
        }
        if self.charge_unknown && !is_of_calls {
            self.problem("charge_unknown: expected a budget of cost or tokens");
        }
        if self.cut_streams.is_some_and(|factor| !factor.is_finite() || factor < 1.0) {
            self.problem("cut_streams: expected a factor of at least 1");
        }
    }

    fn unit(&self) -> LimitUnit {
        match &self.kind {
            LimitKind::Budget { amount, .. } | LimitKind::Rate { amount, .. } => amount.unit.clone(),
            LimitKind::Concurrency { .. } => LimitUnit::Requests,
        }
    }
}
