/// The result of [deliveries](super::Alerts::deliver_at).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryCounts {
    /// Alerts that a target accepted.
    pub delivered: u64,
    /// Attempts that failed, and will be repeated.
    pub failed: u64,
    /// Alerts that are not attempted any more.
    pub given_up: u64,
}
