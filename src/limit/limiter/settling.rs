//! The end of requests: what they used is settled.

use std::{
    io,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use tokio::runtime::{self, Runtime};

use crate::{
    event::Event,
    sink::{BatchWriter, Delivery, Queued, RetryPolicy, Sink, WriteError},
    time::signed_micros,
};

use super::{
    super::{
        gcra,
        ledger::backend::{Charge, RateCorrection, Settlement},
        rules::{Finished, LimitKind, LimitRule, Match},
    },
    Limiter,
    limiter::Shared,
};

/// The number of events that wait for the ledger while it is not available.
const CAPACITY: usize = 100_000;
/// The memory that these events may use. They are shared with the other sinks.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// The number of requests that are settled together. A call to the ledger must end within its timeout.
const MAX_BATCH: usize = 64;
/// The number of leases that are extended together.
const EXTENDED_TOGETHER: usize = 256;
/// How long an event waits for others: not at all, because a client may wait for its concurrency. What arrives during a call to
/// the ledger is settled together.
const MAX_DELAY: Duration = Duration::ZERO;
/// The time for which a settlement is retried. Ledgers remember it for an hour.
const RETRIED: Duration = Duration::from_secs(50 * 60);

/// Settles what requests used, as a sink of their events.
pub(in crate::limit) struct LimitSink {
    limiter: Limiter,
    queued: Queued,
}

impl LimitSink {
    pub(in crate::limit) fn new(limiter: Limiter) -> Self {
        let writer = Settler { limiter: limiter.clone(), runtime: None };
        let retry = RetryPolicy::new().min_delay(Duration::from_millis(50)).give_up_after(RETRIED);
        let queued = Queued::builder("limits", writer).capacity(CAPACITY).max_bytes(MAX_BYTES);
        let queued = queued.max_batch(MAX_BATCH).max_delay(MAX_DELAY).retry(retry).build();
        Self { limiter, queued }
    }
}

impl Sink for LimitSink {
    fn emit(&self, event: Arc<Event>) {
        self.limiter.shared.live.end(event.id());
        let is_counted = || event.rejection().is_none() && self.limiter.current().needs.is_some();
        // A flood of rejected requests does not fill the queue.
        if self.limiter.shared.live.contains(event.id()) || is_counted() {
            self.queued.emit(event);
        }
    }

    fn delivery(&self) -> Delivery {
        self.queued.delivery()
    }

    fn name(&self) -> &str {
        self.queued.name()
    }
}

struct Settler {
    limiter: Limiter,
    /// Created on the thread of the sink.
    runtime: Option<Runtime>,
}

impl BatchWriter for Settler {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let runtime = match &mut self.runtime {
            Some(runtime) => runtime,
            None => self.runtime.insert(new_runtime().map_err(WriteError::retryable)?),
        };
        let settlements: Vec<_> = events.iter().filter_map(|event| self.limiter.settlement(event)).collect();
        // A flood of rejected requests costs no round trips.
        if !settlements.is_empty() {
            let reply = self.limiter.shared.ledger.backend().settle(settlements);
            runtime.block_on(reply.wait()).map_err(WriteError::retryable)?;
        }
        events.iter().for_each(|event| self.limiter.learn(event));
        self.limiter.shared.live.forget(events.iter().map(|event| event.id()));
        Ok(())
    }
}

fn new_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

impl Limiter {
    /// Returns what a request used. `None` if it used nothing, and has no reservation.
    fn settlement(&self, event: &Event) -> Option<Settlement> {
        let time = signed_micros(event.time());
        let taken = self.shared.live.rates(event.id());
        // What the ledger may not have taken is not given back.
        let is_known = |rate: &RateCorrection| rate.micros > 0 || !taken.is_uncertain;
        let (mut charges, mut rates) = (Vec::new(), Vec::new());
        for compiled in self.current().rules() {
            let rule = &*compiled.rule;
            let used = rule.used(event);
            let applies = rule.matches(event) == Match::Yes;
            let series = || {
                let mut series = String::new();
                rule.write_series(&compiled.prefix, event, &mut series);
                series
            };
            match &rule.kind {
                LimitKind::Budget { .. } if applies && !event.is_rejected() => {
                    let Some(period) = compiled.period(time) else { continue };
                    // What is unknown counts as zero, as in all sums.
                    if used.is_none() {
                        compiled.counters.unknown.add();
                    }
                    let amount = used.unwrap_or(0);
                    charges.push(Charge { series: series(), slot: period.slot, keep_until: period.keep_until, amount });
                }
                LimitKind::Rate { .. } if rule.is_estimated() => {
                    let own = taken.series.iter().filter(|(series, _)| series.starts_with(&compiled.prefix));
                    rates.extend(
                        own.filter_map(|(series, micros)| correction(rule, series, *micros, used)).filter(is_known),
                    );
                }
                _ => {}
            }
        }
        let is_needed = !charges.is_empty() || !rates.is_empty() || self.shared.live.contains(event.id());
        is_needed.then(|| Settlement { id: event.id(), time, charges, rates })
    }

    /// Remembers what a request used, for estimates.
    fn learn(&self, event: &Event) {
        // As it was estimated. Other work, such as that of queues, was not.
        let Some(kind) = self.shared.live.kind(event.id()) else { return };
        for compiled in self.current().rules() {
            let rule = &*compiled.rule;
            if rule.is_estimated()
                && event.rejection().is_none()
                && rule.matches(event) == Match::Yes
                // Otherwise, estimates would follow reservations, and not usage.
                && event.reserved(rule.name()).is_none()
                && let Some(used) = rule.used(event)
            {
                self.shared.estimates.learn(rule, &kind, used);
            }
        }
    }

    /// Starts the thread that extends the leases of running requests, once.
    pub(super) fn extend_leases(&self) {
        self.shared.extending.get_or_init(|| {
            let (shared, every) = (Arc::downgrade(&self.shared), self.shared.lease / 3);
            let thread = thread::Builder::new().name("tagging-limits".to_owned());
            if let Err(error) = thread.spawn(move || extend(&shared, every)) {
                tracing::warn!(
                    target: "tower_tagging::limit",
                    %error,
                    "cannot start a thread, reservations of long requests end early"
                );
            }
        });
    }
}

/// Extends the leases of running requests until the limiter is dropped.
fn extend(shared: &Weak<Shared>, every: Duration) {
    let Ok(runtime) = new_runtime() else { return };
    loop {
        thread::sleep(every);
        let Some(shared) = shared.upgrade() else { return };
        let running = shared.live.running();
        if !running.is_empty() {
            for ids in running.chunks(EXTENDED_TOGETHER) {
                let reply = shared.ledger.backend().extend(ids.to_vec(), shared.lease);
                // The next attempt is early enough.
                let _ = runtime.block_on(reply.wait());
            }
        }
    }
}

/// Returns the difference between what a request took of a rate, and what it used.
fn correction(rule: &LimitRule, series: &str, taken: i64, used: Option<i64>) -> Option<RateCorrection> {
    let LimitKind::Rate { amount, per, .. } = &rule.kind else { return None };
    let micros = gcra::increment(used?, amount.count, *per).saturating_sub(taken);
    (micros != 0).then(|| RateCorrection { series: series.to_owned(), micros })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use uuid::Uuid;

    use crate::event::Event;

    use super::super::{
        super::rules::{Amount, LimitDecision, LimitRule},
        Limiter,
        estimates::Kind,
        live_requests::TakenRates,
    };

    /// Returns the correction of a request that used nothing, and took this of a rate.
    fn correction(taken: i64, is_uncertain: bool) -> Option<i64> {
        let rate = LimitRule::rate("rows", Amount::quantity("rows", 10.0), Duration::from_secs(60));
        let rate = rate.on_store_error(LimitDecision::Allow).build().unwrap();
        let limiter = Limiter::builder().rule(rate).build().unwrap();
        let series = format!("{}]", limiter.current().configured[0].prefix);
        let event = Event::builder().id(Uuid::now_v7()).time(UNIX_EPOCH).build();
        let rates = TakenRates { series: vec![(series, taken)], is_uncertain };
        limiter.shared.live.begin(event.id(), Kind::default(), rates);
        let settlement = limiter.settlement(&event).unwrap();
        settlement.rates.first().map(|rate| rate.micros)
    }

    #[test]
    fn gives_back_only_what_was_taken_for_certain() {
        assert_eq!(correction(30_000_000, false), Some(-30_000_000));
        assert_eq!(correction(30_000_000, true), None);
        assert_eq!(correction(0, false), None);
    }
}
