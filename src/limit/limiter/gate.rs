//! The limiter on the path of a request.

use std::sync::Arc;

use http::HeaderMap;

use crate::{
    metadata::{Diagnostic, DiagnosticCode},
    request::GatedRequest,
    tagging::{Gate, GateNeeds, GateReply, Passage, ResponseMeter},
};

use super::{
    super::{
        answer::{self, Answer, Standing},
        ledger::{
            LedgerError,
            backend::{Check, CheckKind, CheckState, Reply, Reservation, Reserved},
        },
        meter::StreamMeter,
        rules::{LimitDecision, LimitMode, reserved_note},
    },
    Limiter,
    estimates::Kind,
    live_requests::TakenRates,
    plan::{Plan, Refused, shadow_note},
    rule_set::{CompiledRule, RuleSet},
};

impl Gate for Limiter {
    fn needs(&self) -> Option<GateNeeds> {
        self.current().needs
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
            return GateReply::Now(Passage::Admit {
                headers: HeaderMap::new(),
                notes,
                notes_without_usage: Vec::new(),
                meter: None,
            });
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
            Reply::Now(result) => GateReply::Now(attempt.finish(result, false)),
            Reply::Later(reply) => {
                // If the client disconnects now, the reservation is released with the event.
                attempt.begin(TakenRates { is_uncertain: true, ..attempt.rates(&[]) });
                GateReply::Later(Box::pin(async move { attempt.finish(reply.await, true) }))
            }
        }
    }
}

impl Limiter {
    fn refuse(&self, rule: &CompiledRule, refused: Refused) -> Passage {
        rule.counters.rejected.add();
        let style = self.errors();
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
    /// Decides by the answer of the ledger. `was_sent` is `false` if the ledger failed before anything was sent.
    fn finish(self, result: Result<Reserved, LedgerError>, was_sent: bool) -> Passage {
        match result {
            Ok(reserved) if reserved.is_admitted => self.admit(&reserved.states),
            Ok(reserved) => self.reject(&reserved.states),
            Err(_) => self.without_ledger(was_sent),
        }
    }

    /// Remembers the request until it is settled.
    fn begin(&self, rates: TakenRates) {
        self.limiter.shared.live.begin(self.request.id(), Kind::new(&self.request), rates);
    }

    fn admit(mut self, states: &[CheckState]) -> Passage {
        let shared = &self.limiter.shared;
        self.rules().for_each(|rule| rule.counters.passed.add());
        let mut notes = std::mem::take(&mut self.plan.notes);
        let failed = states.iter().zip(&self.plan.checks).filter(|(state, _)| !state.passes);
        let mut failed: Vec<usize> = failed.map(|(_, check)| check.rule).collect();
        failed.dedup();
        for rule in failed.into_iter().filter_map(|at| self.rule(at)) {
            rule.counters.shadowed.add();
            notes.push(shadow_note(&rule.rule));
        }
        let rates = self.rates(states);
        // A request that only takes from rates of requests holds nothing, and has nothing to settle.
        let holds = |check: &Check| !matches!(check.kind, CheckKind::Rate { .. });
        if !rates.series.is_empty() || self.plan.checks.iter().any(holds) {
            self.begin(rates);
        }
        let headers = if shared.has_headers { self.standings(states, true).headers() } else { HeaderMap::new() };
        Passage::Admit { headers, notes, notes_without_usage: self.reserved_notes(), meter: self.meter() }
    }

    /// Answers a request that exceeds a limit.
    fn reject(self, states: &[CheckState]) -> Passage {
        let standing = self.standings(states, false);
        self.limiter.shared.live.forget([self.request.id()].into_iter());
        for rule in standing.violated().filter_map(|at| self.rule(at)) {
            rule.counters.rejected.add();
        }
        Passage::Reject(Box::new(standing.rejection(self.limiter.errors())))
    }

    /// Decides without the ledger. It may have made the reservation, so that the request stays live until it is settled.
    fn without_ledger(mut self, was_sent: bool) -> Passage {
        let mut rates = self.rates(&[]);
        rates.is_uncertain = was_sent;
        if !was_sent {
            rates.series.iter_mut().for_each(|(_, taken)| *taken = 0);
        }
        self.begin(rates);
        let mut notes = std::mem::take(&mut self.plan.notes);
        let mut refusal = None;
        for rule in self.rules() {
            rule.counters.store_errors.add();
            let is_denied = rule.rule.on_store_error == LimitDecision::Deny;
            if is_denied && rule.rule.mode == LimitMode::Enforce {
                refusal.get_or_insert_with(|| answer::unavailable(&rule.rule, self.limiter.errors()));
            }
        }
        if let Some(rejection) = refusal {
            return Passage::Reject(Box::new(rejection));
        }
        notes.push(Diagnostic::new(DiagnosticCode::LimitUnchecked));
        Passage::Admit { headers: HeaderMap::new(), notes, notes_without_usage: self.reserved_notes(), meter: None }
    }

    /// Returns what the request takes of rates whose cost is estimated. Checks that do not pass take nothing.
    fn rates(&self, states: &[CheckState]) -> TakenRates {
        let taken = self.plan.checks.iter().enumerate().filter_map(|(at, check)| {
            let CheckKind::Rate { increment, .. } = check.kind else { return None };
            let passes = states.get(at).is_none_or(|state| state.passes);
            let is_estimated = self.rule(check.rule)?.rule.is_estimated();
            let series = self.plan.text.get(check.series.clone()).unwrap_or_default();
            (passes && is_estimated).then(|| (series.to_owned(), increment))
        });
        TakenRates { series: taken.collect(), is_uncertain: false }
    }

    /// Returns the diagnostics for the case that the usage of the request remains unknown.
    fn reserved_notes(&self) -> Vec<Diagnostic<'static>> {
        let notes = self.plan.checks.iter().filter_map(|check| {
            let rule = &self.rule(check.rule)?.rule;
            let CheckKind::Budget { amount, .. } = check.kind else { return None };
            rule.charge_unknown.then(|| reserved_note(rule, amount))
        });
        notes.collect()
    }

    /// Returns the rules that were checked, each once.
    fn rules(&self) -> impl Iterator<Item = &Arc<CompiledRule>> {
        let mut last = None;
        let is_next = move |at: &usize| last.replace(*at) != Some(*at);
        self.plan.checks.iter().map(|check| check.rule).filter(is_next).filter_map(|at| self.rule(at))
    }

    fn rule(&self, at: usize) -> Option<&Arc<CompiledRule>> {
        self.set.rules().nth(at)
    }

    /// Returns where the request stands with each of its rules.
    fn standings(&self, states: &[CheckState], is_admitted: bool) -> Answer {
        let standings = self.plan.checks.iter().zip(states).filter_map(|(check, state)| {
            let rule = self.rule(check.rule)?;
            let series = self.plan.text.get(check.series.clone()).unwrap_or_default();
            let rule = Arc::clone(&rule.rule);
            Some(Standing::new(check, *state, rule, series, self.request.time(), is_admitted))
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
