/// The state of a [`Ledger`](super::Ledger).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerStatus {
    /// The kind: `memory`, `postgres`, or `redis`.
    pub kind: &'static str,
    /// `false` after a call that failed, until one succeeds.
    pub is_available: bool,
    /// The number of calls that failed or timed out, since the start of the process.
    pub errors: u64,
}
