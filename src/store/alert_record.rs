use std::time::SystemTime;

/// An alert, and the state of its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlertRecord {
    /// A stable id, which is derived from what the alert is about: the rule, the group, the period, and the threshold.
    pub(crate) id: String,
    /// The kind, such as `threshold`.
    pub(crate) kind: String,
    /// What the alert is about without its period, such as the name of the rule. Alerts with a cooldown share it.
    pub(crate) subject: String,
    /// The alert as JSON.
    pub(crate) body: String,
    pub(crate) raised_at: SystemTime,
    /// The number of attempts to deliver it, including one that is running.
    pub(crate) attempts: u64,
    /// The earliest time of the next attempt.
    pub(crate) next_attempt_at: SystemTime,
    /// The time until which a process delivers it. 1970 if none does.
    pub(crate) lease_until: SystemTime,
    pub(crate) delivered_at: Option<SystemTime>,
}
