use std::{collections::BTreeMap, fmt, time::Duration};

use crate::text::truncated;

use super::{drop_reason::DropReason, sink_health::SinkHealth, spool_report::SpoolReport};

/// The longest error text in reports, in characters.
pub(super) const MAX_ERROR_CHARS: usize = 256;

/// A snapshot of what happened to the events of one sink.
///
/// `accepted = delivered + dropped + in_flight` holds at any time. After
/// [`Delivery::shutdown`](super::Delivery::shutdown) the events in flight are those that were left at the deadline.
///
/// A sink of your own returns one from [`DeliverySource::report`](super::DeliverySource::report). Most get it from
/// [`Counts::report`](super::Counts::report); [`new`](Self::new) starts from zero:
///
/// ```
/// use tower_tagging::sink::{DropReason, SinkReport};
///
/// let mut report = SinkReport::new("warehouse");
/// report.accepted = 10;
/// report.delivered = 7;
/// report.drops.insert(DropReason::Rejected, 1);
/// assert_eq!((report.dropped(), report.in_flight()), (1, 2));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkReport {
    /// Name of the sink.
    pub name: String,
    /// Events that were passed to the sink, including those that it dropped.
    pub accepted: u64,
    /// Events that reached their destination.
    pub delivered: u64,
    /// Events that were dropped, by reason. Reasons that did not occur are absent.
    pub drops: BTreeMap<DropReason, u64>,
    /// Events that were written again after a failure.
    ///
    /// An event counts once for each retry.
    pub retried: u64,
    /// Counts of the sink's spool.
    pub spool: SpoolReport,
    /// Age of the oldest event that has not been delivered yet.
    ///
    /// It is measured from the end of its request.
    pub oldest_age: Option<Duration>,
    /// State of the delivery.
    pub health: SinkHealth,
    /// The most recent write error, truncated to 256 characters.
    ///
    /// While the spool cannot be used, it is the error of the spool instead, with the number of events in memory.
    pub last_error: Option<String>,
}

impl SinkReport {
    /// Creates a report of a healthy sink with all counts zero.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Returns the number of dropped events.
    pub fn dropped(&self) -> u64 {
        self.drops.values().sum()
    }

    /// Returns the number of events that were dropped for a reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.drops.get(&reason).copied().unwrap_or(0)
    }

    /// Returns the number of events that are in flight.
    ///
    /// They were accepted, but neither delivered nor dropped yet.
    pub fn in_flight(&self) -> u64 {
        self.accepted.saturating_sub(self.delivered).saturating_sub(self.dropped())
    }

    /// Returns the number of events in flight that are in memory only, not in the [spool](Self::spool).
    ///
    /// They are lost if the process is killed.
    pub fn in_memory(&self) -> u64 {
        self.in_flight().saturating_sub(self.spool.waiting)
    }

    /// Sets the health and the error of a spool that cannot be used, and the number of events that are affected.
    pub(super) fn set_spool_problem(&mut self, problem: &str, events: u64, place: &str) {
        if matches!(self.health, SinkHealth::Healthy | SinkHealth::Unavailable) {
            self.health = SinkHealth::SpoolFailed;
        }
        let affected = match events {
            1 => format!("1 event is {place}"),
            count => format!("{count} events are {place}"),
        };
        // A long path does not hide the number.
        let problem = truncated(problem, MAX_ERROR_CHARS.saturating_sub(affected.len() + 2));
        self.last_error = Some(format!("{problem}; {affected}"));
    }

    /// Returns `true` if the sink delivered every event that it accepted.
    pub fn is_complete(&self) -> bool {
        self.accepted == self.delivered
    }
}

impl fmt::Display for SinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} accepted, {} delivered", self.name, self.accepted, self.delivered)?;
        for (reason, count) in self.drops.iter().filter(|(_, count)| **count > 0) {
            write!(f, ", {count} dropped ({reason})")?;
        }
        if self.retried > 0 {
            write!(f, ", {} retried", self.retried)?;
        }
        if self.spool.damaged > 0 {
            write!(f, ", {} damaged places in the spool", self.spool.damaged)?;
        }
        write!(f, ", {} in flight", self.in_flight())?;
        if self.spool.waiting > 0 {
            write!(f, " ({} in the spool)", self.spool.waiting)?;
        }
        let is_limited = matches!(self.health, SinkHealth::Unavailable | SinkHealth::SpoolFailed | SinkHealth::Stalled);
        if is_limited {
            write!(f, ", {}", self.health)?;
        }
        if let Some(error) = self.last_error.as_ref().filter(|_| is_limited || !self.is_complete()) {
            write!(f, ", last error: {error}")?;
        }
        Ok(())
    }
}
