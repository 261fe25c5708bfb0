/// The treatment of requests that violate a [`Contract`](super::Contract).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContractMode {
    /// The contract is not checked.
    Off,
    /// Violations are diagnostics on the event, and are counted.
    #[default]
    Report,
    /// The request is rejected.
    Reject,
}
