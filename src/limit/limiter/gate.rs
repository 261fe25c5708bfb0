//! The limiter on the path of a request.

use std::sync::Arc;

use http::HeaderMap;

use crate::{
    metadata::{Diagnostic, DiagnosticCode},
    request::GatedRequest,
    tagging::{Gate, GateReply, Passage, ResponseMeter},
};

use super::{
    super::{
        answer::{self, Answer, Standing},
        ledger::{
            LedgerError,
            backend::{CheckKind, CheckState, Reply, Reservation, Reserved},
        },
        meter::StreamMeter,
        rules::{LimitDecision, LimitMode},
    },
    Limiter,
    plan::{Plan, Refused, shadow_note},
    rule_set::{CompiledRule, RuleSet},
};

impl Gate for Limiter {
    fn reads_body(&self, is_llm_call: bool, may_learn_user: bool) -> bool {
        self.current().reads_body(is_llm_call, may_learn_user)
    }

    fn enter(&self, request: GatedRequest) -> GateReply {
        let set = Arc::clone(&self.current());
        let plan = match Plan::new(&set, &request, &self.shared.estimates) {
            Ok(plan) => plan,
            Err((rule, refused)) => return GateReply::Now(self.refuse(&rule, refused)),
        };
        if plan.checks.is_empty() {
            let mut plan = plan;
            let notes = std::mem::take(&mut plan.notes);
            return GateReply::Now(Passage::Admit { headers: HeaderMap::new(), notes, meter: None });
        }
        self.extend_leases();
        let reply = self.shared.ledger.backend().reserve(&Reservation {
            id: request.id(),
            lease: self.shared.lease,
            text: &plan.text,
            checks: &plan.checks,
            wants_states: plan.wants_states || self.shared.has_headers,
        });
        let attempt = Attempt { limiter: self.clone(), set, plan, request };
        match reply {
            Reply::Now(result) => GateReply::Now(attempt.finish(result)),
            Reply::Later(reply) => GateReply::Later(Box::pin(async move { attempt.finish(reply.await) })),
        }
    }
}

impl Limiter {
    fn refuse(&self, rule: &CompiledRule, refused: Refused) -> Passage {
        rule.counters.rejected.add();
        let style = self.shared.errors;
        Passage::Reject(Box::new(match refused {
            Refused::Missing => answer::missing(&rule.rule, style),
            Refused::Unpriced => answer::unpriced(&rule.rule, style),
        }))
    }
}

/// A request whose checks were sent to the ledger.
struct Attempt {
    limiter: Limiter,
    set: Arc<RuleSet>,
    plan: Plan,
    request: GatedRequest,
}

impl Attempt {
    fn finish(self, result: Result<Reserved, LedgerError>) -> Passage {
        match result {
            Ok(reserved) if reserved.is_admitted => self.admit(&reserved.states),
            Ok(reserved) => self.reject(&reserved.states),
            Err(_) => self.without_ledger(),
        }
    }

    fn admit(mut self, states: &[CheckState]) -> Passage {
        let shared = &self.limiter.shared;
        for check in &self.plan.checks {
            if let Some(rule) = self.rule(check.rule) {
                rule.counters.passed.add();
            }
        }
        let mut notes = std::mem::take(&mut self.plan.notes);
        let failed = states.iter().zip(&self.plan.checks).filter(|(state, _)| !state.passes);
        for rule in failed.filter_map(|(_, check)| self.rule(check.rule)) {
            rule.counters.shadowed.add();
            notes.push(shadow_note(&rule.rule));
        }
        let is_rate = |kind: &CheckKind| matches!(kind, CheckKind::Rate { .. });
        let rates = self.plan.checks.iter().filter(|check| is_rate(&check.kind)).filter_map(|check| {
            let CheckKind::Rate { increment, .. } = check.kind else { return None };
            let is_estimated = self.rule(check.rule)?.rule.is_estimated();
            is_estimated.then(|| (self.plan.text.get(check.series.clone()).unwrap_or_default().to_owned(), increment))
        });
        shared.live.begin(self.request.id(), rates.collect());
        let headers = if shared.has_headers { self.standings(states).headers() } else { HeaderMap::new() };
        Passage::Admit { headers, notes, meter: self.meter() }
    }

    /// Answers a request that exceeds a limit.
    fn reject(self, states: &[CheckState]) -> Passage {
        let standing = self.standings(states);
        for rule in standing.violated().filter_map(|at| self.rule(at)) {
            rule.counters.rejected.add();
        }
        Passage::Reject(Box::new(standing.rejection(self.limiter.shared.errors)))
    }

    /// Decides without the ledger.
    fn without_ledger(mut self) -> Passage {
        let mut notes = std::mem::take(&mut self.plan.notes);
        let mut refusal = None;
        for rule in self.plan.checks.iter().filter_map(|check| self.rule(check.rule)) {
            rule.counters.store_errors.add();
            let is_denied = rule.rule.on_store_error == LimitDecision::Deny;
            if is_denied && rule.rule.mode == LimitMode::Enforce {
                refusal.get_or_insert_with(|| answer::unavailable(&rule.rule, self.limiter.shared.errors));
            }
        }
        if let Some(rejection) = refusal {
            return Passage::Reject(Box::new(rejection));
        }
        notes.push(Diagnostic::new(DiagnosticCode::Custom("limit_unchecked")));
        // Its use is settled when the ledger is back.
        self.limiter.shared.live.begin(self.request.id(), Vec::new());
        Passage::Admit { headers: HeaderMap::new(), notes, meter: None }
    }

    fn rule(&self, at: usize) -> Option<&Arc<CompiledRule>> {
        self.set.rules().nth(at)
    }

    /// Returns where the request stands with each of its rules.
    fn standings(&self, states: &[CheckState]) -> Answer {
        let standings = self.plan.checks.iter().zip(states).filter_map(|(check, state)| {
            let rule = self.rule(check.rule)?;
            let series = self.plan.text.get(check.series.clone()).unwrap_or_default();
            Some(Standing::new(check, *state, Arc::clone(&rule.rule), series, self.request.time()))
        });
        Answer::new(standings.collect(), self.limiter.shared.clock.now())
    }

    /// Returns the meter of a stream, if a rule cuts streams.
    fn meter(&self) -> Option<Box<dyn ResponseMeter>> {
        let meters = self.plan.checks.iter().filter_map(|check| {
            let rule = self.rule(check.rule)?;
            let CheckKind::Budget { amount, .. } = check.kind else { return None };
            StreamMeter::new(&rule.rule, amount, &self.request)
        });
        let tightest = meters.min_by_key(StreamMeter::max_tokens)?;
        Some(Box::new(tightest))
    }
}
