use super::{Usage, iterations::Iterations};

/// The counts of a response in the meaning of the OTel GenAI conventions, whatever the provider's own.
#[derive(Debug, Default)]
pub(super) struct NormalizedUsage {
    pub(super) usage: Usage,
    /// The model runs that `usage` is the sum of, if the provider reports them. Each one is priced separately.
    pub(super) iterations: Iterations,
    /// The provider counts the call but does not bill it.
    pub(super) is_waived: bool,
    /// Descriptions of counts that do not add up.
    pub(super) inconsistencies: Vec<String>,
}
