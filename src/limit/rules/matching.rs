//! Which requests a rule applies to, and what they use.

use crate::{
    event::Event,
    metadata::{Diagnostic, DiagnosticCode},
    row::EventRow,
    time::saturated,
    usage::{LlmCall, Usage},
};

use super::{
    super::{series, subject::Subject},
    LimitKind, LimitMode, LimitRule, LimitUnit, OnMissing,
    amount::millionths,
};

/// The result of matching a rule with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The conditions are not met, or the rule is off.
    No,
    /// A property is missing, and the rule does not apply.
    Skipped,
    /// A property is missing, and the request is rejected.
    Denied,
    /// The rule applies.
    Yes,
}

impl LimitRule {
    /// Matches the rule with a request.
    pub(crate) fn matches(&self, subject: &impl Subject) -> Match {
        if self.mode == LimitMode::Off {
            return Match::No;
        }
        let mut is_missing = false;
        for condition in &self.when {
            match condition.is_met(subject) {
                Some(true) => {}
                Some(false) => return Match::No,
                None => is_missing = true,
            }
        }
        if self.exclude.iter().any(|condition| condition.is_met(subject) == Some(true)) {
            return Match::No;
        }
        let lacks_group = self.group_by.iter().any(|dimension| subject.value(dimension).is_none());
        match self.on_missing {
            _ if !is_missing && !lacks_group => Match::Yes,
            OnMissing::Bucket if !is_missing => Match::Yes,
            OnMissing::Skip | OnMissing::Bucket => Match::Skipped,
            OnMissing::Deny => Match::Denied,
        }
    }

    /// Appends the series of a request to a text. `prefix` is that of the rule.
    pub(crate) fn write_series(&self, prefix: &str, subject: &impl Subject, text: &mut String) {
        text.push_str(prefix);
        series::write_group(text, self.group_by.iter().map(|dimension| subject.value(dimension)));
    }

    /// Returns what a request that ended used, in the units of the ledger.
    ///
    /// Rejected requests used nothing. A call without complete usage counts at least what it reserved, if its event has a
    /// [`reserved_note`] of the rule. `None` if the amount is unknown: an LLM call without a cost, or without usage.
    pub(crate) fn used(&self, request: &impl Finished) -> Option<i64> {
        if request.is_rejected() {
            return Some(0);
        }
        match self.unit() {
            _ if matches!(self.kind, LimitKind::Concurrency { .. }) => Some(0),
            LimitUnit::Requests => Some(1),
            LimitUnit::Cost if request.has_call() => {
                request.cost_nanos().map(saturated).max(request.reserved(self.name()))
            }
            LimitUnit::Tokens if request.has_call() => {
                request.tokens().map(saturated).max(request.reserved(self.name()))
            }
            LimitUnit::Cost | LimitUnit::Tokens => Some(0),
            LimitUnit::Quantity(name) => Some(request.quantity(name).map_or(0, millionths)),
        }
    }
}

/// A request that ended: an event or a row. Both have the same values.
pub(crate) trait Finished: Subject {
    /// Returns `true` if a layer answered instead of the service.
    fn is_rejected(&self) -> bool;

    /// Returns `true` if the request is an LLM call, or has recorded usage or costs.
    fn has_call(&self) -> bool;

    fn cost_nanos(&self) -> Option<u64>;

    /// Returns the input and output tokens together.
    fn tokens(&self) -> Option<u64>;

    fn quantity(&self, name: &str) -> Option<f64>;

    /// Returns the amount that a call without complete usage reserved, from the [`reserved_note`] of a rule.
    fn reserved(&self, rule: &str) -> Option<i64>;
}

/// Returns the diagnostic of a call without complete usage: the amount that it reserved, in the units of the ledger.
pub(crate) fn reserved_note(rule: &LimitRule, amount: i64) -> Diagnostic<'static> {
    let note = Diagnostic::new(DiagnosticCode::LimitReserved);
    note.with_key(rule.name().to_owned()).with_detail(amount.to_string())
}

/// Adds up the numbers of input and output tokens, as far as they are known.
fn sum(input: Option<u64>, output: Option<u64>) -> Option<u64> {
    let kept = |tokens: u64| tokens.min(LlmCall::MAX_USAGE);
    match (input.map(kept), output.map(kept)) {
        (None, None) => None,
        (input, output) => Some(input.unwrap_or(0) + output.unwrap_or(0)),
    }
}

impl Finished for Event {
    fn is_rejected(&self) -> bool {
        self.rejection().is_some()
    }

    fn has_call(&self) -> bool {
        self.llm().is_some()
    }

    fn cost_nanos(&self) -> Option<u64> {
        Some(self.llm()?.cost()?.nano_usd())
    }

    fn tokens(&self) -> Option<u64> {
        let usage: &Usage = self.llm()?.usage()?;
        sum(usage.input_tokens(), usage.output_tokens())
    }

    fn quantity(&self, name: &str) -> Option<f64> {
        // As rows do, which have one amount for each name.
        let same = self.llm()?.quantities().iter().filter(|quantity| quantity.name() == name);
        same.map(crate::usage::Quantity::amount).reduce(std::ops::Add::add)
    }

    fn reserved(&self, rule: &str) -> Option<i64> {
        let mut notes = self.diagnostics().iter().filter(|note| note.code() == DiagnosticCode::LimitReserved);
        notes.find(|note| note.key() == Some(rule))?.detail()?.parse().ok()
    }
}

impl Finished for EventRow {
    fn is_rejected(&self) -> bool {
        self.rejection.is_some()
    }

    fn has_call(&self) -> bool {
        self.usage_status.is_some()
    }

    fn cost_nanos(&self) -> Option<u64> {
        self.total_cost_nanos
    }

    fn tokens(&self) -> Option<u64> {
        sum(self.input_tokens, self.output_tokens)
    }

    fn quantity(&self, name: &str) -> Option<f64> {
        self.quantities.get(name).copied()
    }

    fn reserved(&self, rule: &str) -> Option<i64> {
        let mut notes =
            self.diagnostics.as_array()?.iter().filter(|note| note["code"] == DiagnosticCode::LimitReserved.as_str());
        notes.find(|note| note["key"] == rule)?["detail"].as_str()?.parse().ok()
    }
}
