use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    analytics::{Analytics, Retention},
    event::{Clock, SystemClock},
    sink::Delivery,
    time::{signed_micros, time_of_micros},
};

use super::{
    super::{
        alerts::LedgerDrift,
        ledger::backend::Adjustment,
        limiter::Limiter,
        rules::{Amount, LimitMode},
    },
    check_status::CheckStatus,
    checked_rule::CheckedRule,
    comparison::{Compared, Coverage, Difference, compare},
    ledger_check::LedgerCheck,
    ledger_check_error::LedgerCheckError,
    unchecked_reason::UncheckedReason,
};

/// The default time after which the event of a request is expected in the store.
const DELAY: Duration = Duration::from_secs(5 * 60);
/// The longest delay. Ledgers know for an hour when a request was settled.
const MAX_DELAY: Duration = Duration::from_secs(55 * 60);
/// The default time after which a difference must still be the same.
const PAUSE: Duration = Duration::from_secs(10);
/// The number of corrections that are sent to the ledger at a time.
const CORRECTIONS: usize = 500;

/// Compares the ledger of a limiter with stored requests. See the [module](super). Clones know what one of them has restored.
#[derive(Clone)]
#[must_use = "a checker does nothing until a method is called"]
pub struct LedgerChecker {
    limiter: Limiter,
    analytics: Analytics,
    retention: Retention,
    delay: Duration,
    pause: Duration,
    delivery: Option<Delivery>,
    /// The time up to which the ledger was restored, in microseconds since 1970. The ledger has only the sum of these requests,
    /// so a check never ends earlier.
    restored: Arc<AtomicI64>,
    clock: Arc<dyn Clock>,
}

impl LedgerChecker {
    /// Creates a checker.
    pub fn new(limiter: Limiter, analytics: Analytics) -> Self {
        Self {
            limiter,
            analytics,
            retention: Retention::forever(),
            delay: DELAY,
            pause: PAUSE,
            delivery: None,
            restored: Arc::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the ages at which rows are deleted. Rules with a longer window are not checked.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the time after which the event of a request is expected in the store: at most 55 minutes. The default is 5 minutes.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay.min(MAX_DELAY);
        self
    }

    /// Sets the time after which a difference must still be the same to be reported. The default is 10 seconds. With zero,
    /// differences are reported at once.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Sets the delivery of the events, such as [`LimitLayer::delivery`](crate::limit::LimitLayer::delivery). While events of this
    /// process wait for longer than the [`delay`](Self::delay), such as during an outage of the store, only the requests before
    /// them are compared.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = Some(delivery);
        self
    }

    /// Sets the clock. The default is the clock of the system.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Compares the ledger with the stored requests.
    ///
    /// # Errors
    ///
    /// Returns an error if the ledger or the store is not available.
    pub async fn check(&self) -> Result<LedgerCheck, LedgerCheckError> {
        let delay = match self.delay_of_events() {
            Ok(delay) => delay,
            Err(unchecked) => return Ok(unchecked),
        };
        let (at, before) = self.times(delay);
        Ok(result(at, before, &self.compare(before, self.pause).await?))
    }

    /// Compares the ledger with the stored requests, and sets it to them where it differs. Returns what was different.
    ///
    /// Only one process at a time may do this, because corrections of several processes add up. Rules that are not checked are
    /// left as they are.
    ///
    /// # Errors
    ///
    /// Returns an error if the ledger or the store is not available. A part of the corrections may then have been made.
    pub async fn rebuild(&self) -> Result<LedgerCheck, LedgerCheckError> {
        let delay = match self.delay_of_events() {
            Ok(delay) => delay,
            Err(unchecked) => return Ok(unchecked),
        };
        let (at, before) = self.times(delay);
        let compared = self.compare(before, self.pause).await?;
        self.adjust(&compared).await?;
        Ok(result(at, before, &compared))
    }

    /// Sets the ledger to the requests that are stored so far, such as a ledger in memory after a start. Call it before
    /// requests are served, and after events that wait in a spool have been delivered.
    ///
    /// This differs from [`rebuild`](Self::rebuild) in two ways. It covers requests up to now. And a rule whose rows are not
    /// complete gets at least what the rows have; its status is still [`Unchecked`](CheckStatus::Unchecked).
    ///
    /// # Errors
    ///
    /// As [`rebuild`](Self::rebuild).
    pub async fn restore(&self) -> Result<LedgerCheck, LedgerCheckError> {
        // The current second is included.
        let (at, before) = self.times(Duration::ZERO);
        let before = before.saturating_add(1_000_000);
        self.restored.fetch_max(before, Relaxed);
        let compared = compare(&self.limiter, &self.analytics, self.retention, before, Coverage::AtLeast).await?;
        self.adjust(&compared).await?;
        Ok(result(at, before, &compared))
    }

    /// Returns the time after which events are in the store. If events wait for too long, returns that nothing is checked.
    fn delay_of_events(&self) -> Result<Duration, LedgerCheck> {
        let report = self.delivery.as_ref().map(Delivery::report);
        let ages = report.iter().flat_map(|report| &report.sinks).filter_map(|sink| sink.oldest_age);
        let age = ages.max().unwrap_or_default();
        if age <= MAX_DELAY {
            return Ok(self.delay.max(age));
        }
        let (at, before) = self.times(age);
        let rules = self.limiter.rules().into_iter().filter(|rule| rule.is_budget() && rule.mode() != LimitMode::Off);
        let status = CheckStatus::Unchecked(UncheckedReason::Undelivered { age });
        let rules = rules.map(|rule| CheckedRule { rule, status: status.clone(), drift: Vec::new() }).collect();
        Err(LedgerCheck { at, covered_until: time_of_micros(before), rules })
    }

    /// Returns the current time, and the whole second up to which requests are covered, in microseconds since 1970.
    fn times(&self, delay: Duration) -> (SystemTime, i64) {
        let now = self.clock.now();
        let before = now.checked_sub(delay).unwrap_or(UNIX_EPOCH);
        let micros = signed_micros(before);
        (now, (micros - micros % 1_000_000).max(self.restored.load(Relaxed)))
    }

    /// Compares, and keeps the differences that are the same after a pause. An event that was on its way is in neither or both
    /// the second time.
    async fn compare(&self, before: i64, pause: Duration) -> Result<Vec<Compared>, LedgerCheckError> {
        let compare = || compare(&self.limiter, &self.analytics, self.retention, before, Coverage::Complete);
        let first = compare().await?;
        if pause.is_zero() || first.iter().all(|compared| compared.differences.is_empty()) {
            return Ok(first);
        }
        tokio::time::sleep(pause).await;
        let mut second = compare().await?;
        for compared in &mut second {
            let before = first.iter().find(|other| other.sums.compiled.prefix == compared.sums.compiled.prefix);
            let is_same = |one: &Difference, other: &Difference| {
                (&one.series, one.slot, one.ledger.wrapping_sub(one.rows))
                    == (&other.series, other.slot, other.ledger.wrapping_sub(other.rows))
            };
            let was_there = |one: &Difference| {
                before.is_some_and(|first| first.differences.iter().any(|other| is_same(one, other)))
            };
            compared.differences.retain(was_there);
        }
        Ok(second)
    }

    async fn adjust(&self, compared: &[Compared]) -> Result<(), LedgerCheckError> {
        let changes: Vec<Adjustment> = compared
            .iter()
            .flat_map(|Compared { sums, differences }| {
                differences.iter().map(|difference| Adjustment {
                    series: difference.series.clone(),
                    slot: difference.slot,
                    keep_until: sums.window.period(difference.slot).keep_until,
                    delta: difference.rows.saturating_sub(difference.ledger),
                })
            })
            .collect();
        for part in changes.chunks(CORRECTIONS) {
            self.limiter.ledger().backend().adjust(part.to_vec()).wait().await?;
        }
        Ok(())
    }
}

fn result(at: SystemTime, before: i64, compared: &[Compared]) -> LedgerCheck {
    LedgerCheck { at, covered_until: time_of_micros(before), rules: compared.iter().map(checked).collect() }
}

fn checked(Compared { sums, differences }: &Compared) -> CheckedRule {
    let rule = &sums.compiled.rule;
    let amount = |count: i64| Amount::of_count(rule.unit().clone(), count);
    let drift = |difference: &Difference| LedgerDrift {
        rule: Arc::clone(rule),
        group: sums.compiled.group(&difference.series).unwrap_or_default(),
        from: time_of_micros(difference.slot),
        ledger: amount(difference.ledger),
        rows: amount(difference.rows),
    };
    CheckedRule {
        rule: Arc::clone(rule),
        status: sums.reason.clone().map_or(CheckStatus::Checked, CheckStatus::Unchecked),
        drift: differences.iter().map(drift).collect(),
    }
}

impl fmt::Debug for LedgerChecker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerChecker")
            .field("limiter", &self.limiter)
            .field("retention", &self.retention)
            .field("delay", &self.delay)
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}
