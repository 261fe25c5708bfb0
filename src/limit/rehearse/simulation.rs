//! Decides about requests one after the other.

use std::{ops::Range, sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use uuid::Uuid;

use crate::{
    analytics::{QueryError, TimeRange},
    row::EventRow,
    time::signed_micros,
    usage::{CostStatus, Money},
};

use super::{
    super::{
        gcra,
        ledger::{
            Books,
            backend::{Check, CheckKind, Reservation},
        },
        rules::{Finished, LimitDecision, LimitKind, LimitMode, LimitRule, LimitUnit, Match},
        series,
        subject::Subject,
        window::Period,
    },
    rehearsal::Rehearsal,
    rehearsed_rule::RehearsedRule,
    tally::Tally,
};

/// The rules, and what they have counted so far.
pub(super) struct Simulation {
    from: Timestamp,
    to: Timestamp,
    zone: TimeZone,
    rules: Vec<Rehearsed>,
    books: Books,
    requests: u64,
    cost: u64,
    already_rejected: u64,
    rejected: u64,
    saved: u64,
}

/// A rule with its counts.
struct Rehearsed {
    rule: Arc<LimitRule>,
    prefix: String,
    /// The period of the last request.
    period: Option<Period>,
    requests: u64,
    cost: u64,
    rejected: u64,
    saved: u64,
    days: u32,
    last_day: Option<Date>,
    first_rejection: Option<Timestamp>,
    last_rejection: Option<Timestamp>,
    api_keys: Tally,
    workspaces: Tally,
    groups: Tally,
}

/// The amounts that a request needs to pass, and uses if it passes.
#[derive(Default)]
struct Plan {
    text: String,
    checks: Vec<Check>,
    /// The series, slot, end of the slot's life, and amount of each budget.
    charges: Vec<(Range<usize>, i64, i64, i64)>,
    /// The rules that reject the request without counting.
    refusing: Vec<usize>,
    /// One of them is enforced.
    is_refused: bool,
}

impl Simulation {
    pub(super) fn new(rules: Vec<Arc<LimitRule>>, range: &TimeRange) -> Result<Self, QueryError> {
        for (at, rule) in rules.iter().enumerate() {
            if rules.iter().take(at).any(|other| other.name() == rule.name()) {
                return Err(QueryError::invalid(format!("duplicate limit rule {:?}", rule.name())));
            }
        }
        Ok(Self {
            from: range.from(),
            to: range.to(),
            zone: range.zone().clone(),
            rules: rules.into_iter().map(Rehearsed::new).collect(),
            books: Books::default(),
            requests: 0,
            cost: 0,
            already_rejected: 0,
            rejected: 0,
            saved: 0,
        })
    }

    /// Decides about a request, which is not older than the previous one.
    pub(super) fn add(&mut self, row: &EventRow) {
        if row.is_rejected() {
            self.already_rejected += 1;
            return;
        }
        let cost = row.total_cost_nanos.unwrap_or(0);
        self.requests += 1;
        self.cost = self.cost.saturating_add(cost);
        let now = signed_micros(row.requested_at);
        let plan = self.plan(row, now, cost);
        let (is_rejected, failing) =
            if plan.is_refused { (true, plan.refusing) } else { self.reserve(&plan, row, now) };
        if is_rejected {
            self.rejected += 1;
            self.saved = self.saved.saturating_add(cost);
        }
        for at in failing {
            if let Some(rule) = self.rules.get_mut(at) {
                rule.reject(row, cost, &self.zone);
            }
        }
    }

    fn plan(&mut self, row: &EventRow, now: i64, cost: u64) -> Plan {
        let mut plan = Plan::default();
        for (at, rehearsed) in self.rules.iter_mut().enumerate() {
            let matched = rehearsed.rule.matches(row);
            if matches!(matched, Match::No | Match::Skipped) {
                continue;
            }
            rehearsed.requests += 1;
            rehearsed.cost = rehearsed.cost.saturating_add(cost);
            let used = rehearsed.rule.used(row);
            if matched == Match::Denied || used.is_none() && is_denied_as_unpriced(&rehearsed.rule, row) {
                plan.refusing.push(at);
                plan.is_refused |= rehearsed.rule.mode == LimitMode::Enforce;
            } else {
                plan.add(at, rehearsed, row, now, used.unwrap_or(0));
            }
        }
        plan
    }

    /// Takes what a request needs. Returns `true` if it is rejected, and the rules that reject it, or would.
    fn reserve(&mut self, plan: &Plan, row: &EventRow, now: i64) -> (bool, Vec<usize>) {
        let mut reservation = Reservation {
            // The next call releases this reservation: budgets are charged below, and running requests have their own.
            id: Uuid::nil(),
            lease: Duration::ZERO,
            text: &plan.text,
            checks: &plan.checks,
            wants_states: true,
        };
        let reserved = self.books.reserve(&reservation, now);
        let mut failing = plan.refusing.clone();
        for (check, state) in plan.checks.iter().zip(&reserved.states) {
            if !state.passes && !failing.contains(&check.rule) {
                failing.push(check.rule);
            }
        }
        if !reserved.is_admitted {
            return (true, failing);
        }
        for (series, slot, keep_until, amount) in &plan.charges {
            self.books.add(plan.text.get(series.clone()).unwrap_or_default(), *slot, *keep_until, *amount);
        }
        let is_concurrency = |check: &&Check| matches!(check.kind, CheckKind::Concurrency { .. });
        let mut running: Vec<Check> = plan.checks.iter().filter(is_concurrency).cloned().collect();
        // They have passed.
        running.iter_mut().for_each(|check| check.is_enforced = false);
        reservation.id = row.id;
        reservation.lease = row.responded_at.duration_since(row.requested_at).unwrap_or_default();
        reservation.checks = &running;
        self.books.reserve(&reservation, now);
        (false, failing)
    }

    pub(super) fn finish(self) -> Rehearsal {
        Rehearsal {
            from: self.from,
            to: self.to,
            requests: self.requests,
            cost: Money::from_nano_usd(self.cost),
            already_rejected: self.already_rejected,
            rejected: self.rejected,
            saved: Money::from_nano_usd(self.saved),
            rules: self.rules.into_iter().map(Rehearsed::finish).collect(),
        }
    }
}

/// Returns `true` if the layer would have rejected a request because the price of its model is unknown.
fn is_denied_as_unpriced(rule: &LimitRule, row: &EventRow) -> bool {
    let is_unpriced = row.cost_status.as_deref() == Some(CostStatus::UnpricedModel.as_str());
    *rule.unit() == LimitUnit::Cost && rule.on_unpriced == LimitDecision::Deny && is_unpriced
}

impl Plan {
    /// Adds the checks of a rule, as the layer does.
    fn add(&mut self, at: usize, rehearsed: &mut Rehearsed, row: &EventRow, now: i64, amount: i64) {
        let rule = Arc::clone(&rehearsed.rule);
        let is_enforced = rule.mode == LimitMode::Enforce;
        let start = self.text.len();
        rule.write_series(&rehearsed.prefix, row, &mut self.text);
        let series = start..self.text.len();
        let kind = match &rule.kind {
            LimitKind::Budget { window, .. } => {
                let known = rehearsed.period.filter(|period| period.contains(now));
                let period = known.unwrap_or_else(|| window.period(now));
                rehearsed.period = Some(period);
                let Period { from, slot, keep_until, .. } = period;
                self.charges.push((series.clone(), slot, keep_until, amount));
                let limit = rule.amount_at(row.requested_at).count();
                // An exhausted budget also rejects requests that use nothing.
                CheckKind::Budget { from, slot, keep_until, amount: amount.max(1), limit, chunk: 0 }
            }
            LimitKind::Rate { amount: rate, per, burst } => CheckKind::Rate {
                increment: gcra::increment(amount.min(burst.count()), rate.count(), *per),
                tolerance: gcra::tolerance(burst.count(), rate.count(), *per),
            },
            LimitKind::Concurrency { requests } => CheckKind::Concurrency { limit: (*requests).into() },
        };
        self.checks.push(Check { series: series.clone(), is_enforced, rule: at, kind });
        if let Some(limit) = rule.concurrent {
            let kind = CheckKind::Concurrency { limit: limit.into() };
            self.checks.push(Check { series, is_enforced, rule: at, kind });
        }
    }
}

impl Rehearsed {
    fn new(rule: Arc<LimitRule>) -> Self {
        Self {
            prefix: series::prefix(&rule),
            rule,
            period: None,
            requests: 0,
            cost: 0,
            rejected: 0,
            saved: 0,
            days: 0,
            last_day: None,
            first_rejection: None,
            last_rejection: None,
            api_keys: Tally::default(),
            workspaces: Tally::default(),
            groups: Tally::default(),
        }
    }

    fn reject(&mut self, row: &EventRow, cost: u64, zone: &TimeZone) {
        self.rejected += 1;
        self.saved = self.saved.saturating_add(cost);
        self.api_keys.add(vec![row.api_key.clone()], cost);
        self.workspaces.add(vec![row.workspace.clone()], cost);
        if !self.rule.group_by.is_empty() {
            let values = self.rule.group_by.iter().map(|dimension| row.value(dimension).map(str::to_owned));
            self.groups.add(values.collect(), cost);
        }
        let Ok(time) = Timestamp::try_from(row.requested_at) else { return };
        self.first_rejection.get_or_insert(time);
        self.last_rejection = Some(time);
        let day = Some(zone.to_datetime(time).date());
        // Requests are in the order of time.
        if self.last_day != day {
            self.last_day = day;
            self.days = self.days.saturating_add(1);
        }
    }

    fn finish(self) -> RehearsedRule {
        RehearsedRule {
            rule: self.rule,
            requests: self.requests,
            cost: Money::from_nano_usd(self.cost),
            rejected: self.rejected,
            saved: Money::from_nano_usd(self.saved),
            days: self.days,
            first_rejection: self.first_rejection,
            last_rejection: self.last_rejection,
            api_keys: self.api_keys.into_affected(),
            workspaces: self.workspaces.into_affected(),
            groups: self.groups.into_affected(),
        }
    }
}
