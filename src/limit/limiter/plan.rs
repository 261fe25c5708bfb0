//! The checks and reservations that a request needs from the ledger.

use std::{cell::RefCell, sync::Arc};

use crate::{
    metadata::{Diagnostic, DiagnosticCode},
    request::GatedRequest,
    time::signed_micros,
};

use super::{
    super::{
        gcra,
        ledger::backend::{Check, CheckKind},
        rules::{LimitDecision, LimitKind, LimitMode, LimitRule, Match},
        window::Period,
    },
    estimates::{Estimates, Expected},
    rule_set::{CompiledRule, RuleSet},
};

thread_local! {
    /// The text and the checks of an earlier plan, whose memory is used again.
    static SPARE: RefCell<(String, Vec<Check>)> = const { RefCell::new((String::new(), Vec::new())) };
}

/// Maximum capacity of a text that is kept, in bytes, and of checks.
const MAX_KEPT: (usize, usize) = (16 * 1024, 256);

/// The checks of the rules that apply to a request.
pub(super) struct Plan {
    pub(super) text: String,
    pub(super) checks: Vec<Check>,
    /// The diagnostics of rules that could not be checked.
    pub(super) notes: Vec<Diagnostic<'static>>,
    /// The request would be rejected if a rule that is not enforced were.
    pub(super) wants_states: bool,
}

/// The reason why a request is rejected without asking the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A property of the rule is missing.
    Missing,
    /// The model has no known price.
    Unpriced,
}

impl Plan {
    /// Plans the checks of a request. Returns the rule that rejects it.
    pub(super) fn new(
        set: &RuleSet,
        request: &GatedRequest,
        estimates: &Estimates,
    ) -> Result<Self, (Arc<CompiledRule>, Refused)> {
        let (text, checks) = SPARE.take();
        let expected = Expected::new(request);
        let mut plan = Self { text, checks, notes: Vec::new(), wants_states: false };
        for (at, compiled) in set.rules().enumerate() {
            let rule = &*compiled.rule;
            let is_enforced = rule.mode == LimitMode::Enforce;
            match rule.matches(request) {
                Match::No => continue,
                Match::Skipped => {
                    compiled.counters.missing.add();
                    continue;
                }
                Match::Denied => {
                    compiled.counters.missing.add();
                    if is_enforced {
                        return Err((Arc::clone(compiled), Refused::Missing));
                    }
                    plan.note(rule);
                    continue;
                }
                Match::Yes => {}
            }
            let Ok(amount) = estimates.of(rule, &expected) else {
                compiled.counters.unpriced.add();
                match rule.on_unpriced {
                    LimitDecision::Deny if is_enforced => return Err((Arc::clone(compiled), Refused::Unpriced)),
                    LimitDecision::Deny => plan.note(rule),
                    LimitDecision::Allow => {
                        plan.add(set, at, compiled, request, estimates.of_unpriced(rule, &expected));
                    }
                }
                continue;
            };
            plan.add(set, at, compiled, request, amount);
        }
        Ok(plan)
    }

    /// Adds the checks of a rule.
    fn add(&mut self, set: &RuleSet, at: usize, compiled: &CompiledRule, request: &GatedRequest, amount: i64) {
        let rule = &*compiled.rule;
        let is_enforced = rule.mode == LimitMode::Enforce;
        self.wants_states |= !is_enforced;
        let start = self.text.len();
        rule.write_series(&compiled.prefix, request, &mut self.text);
        let series = start..self.text.len();
        let kind = match &rule.kind {
            LimitKind::Budget { .. } => {
                let Some(period) = compiled.period(signed_micros(request.time())) else { return };
                let credit = set.credit(self.text.get(series.clone()).unwrap_or_default(), period.slot);
                let limit = rule.amount_at(request.time()).count.saturating_add(credit);
                // An exhausted budget also rejects requests that are expected to use nothing.
                let amount = amount.max(1);
                let Period { from, slot, keep_until, .. } = period;
                CheckKind::Budget { from, slot, keep_until, amount, limit, chunk: rule.chunk }
            }
            LimitKind::Rate { amount: rate, per, burst } => CheckKind::Rate {
                increment: gcra::increment(amount.min(burst.count), rate.count, *per),
                tolerance: gcra::tolerance(burst.count, rate.count, *per),
            },
            LimitKind::Concurrency { requests } => CheckKind::Concurrency { limit: (*requests).into() },
        };
        self.checks.push(Check { series: series.clone(), is_enforced, rule: at, kind });
        if let Some(limit) = rule.concurrent {
            let kind = CheckKind::Concurrency { limit: limit.into() };
            self.checks.push(Check { series, is_enforced, rule: at, kind });
        }
    }

    /// Notes that a rule in shadow mode would have rejected the request.
    pub(super) fn note(&mut self, rule: &LimitRule) {
        self.notes.push(shadow_note(rule));
    }
}

/// Returns the diagnostic of a request that a rule in shadow mode would have rejected.
pub(super) fn shadow_note(rule: &LimitRule) -> Diagnostic<'static> {
    Diagnostic::new(DiagnosticCode::LimitShadow).with_key(rule.name().to_owned())
}

impl Drop for Plan {
    fn drop(&mut self) {
        let (mut text, mut checks) = (std::mem::take(&mut self.text), std::mem::take(&mut self.checks));
        if text.capacity() <= MAX_KEPT.0 && checks.capacity() <= MAX_KEPT.1 {
            text.clear();
            checks.clear();
            // A thread that ends has none.
            let _ = SPARE.try_with(|spare| spare.replace((text, checks)));
        }
    }
}
