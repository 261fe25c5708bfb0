use std::time::SystemTime;

/// An alert for one target, and the state of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::limit) struct OutboxEntry {
    /// The id of the alert, a space, and the name of the target.
    pub(in crate::limit) id: String,
    /// The name of the kind.
    pub(in crate::limit) kind: String,
    /// What the alert is about without its period, and the name of the target. Alerts with a cooldown share it.
    pub(in crate::limit) series: String,
    /// The name of the target and the alert, as JSON.
    pub(in crate::limit) body: String,
    pub(in crate::limit) raised_at: SystemTime,
    /// The number of attempts to deliver it, including one that is running.
    pub(in crate::limit) attempts: u64,
    /// The earliest time of the next attempt.
    pub(in crate::limit) next_attempt_at: SystemTime,
    /// The time until which a process delivers it. 1970 if none does.
    pub(in crate::limit) lease_until: SystemTime,
    pub(in crate::limit) delivered_at: Option<SystemTime>,
}
