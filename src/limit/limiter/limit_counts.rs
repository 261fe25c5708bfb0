/// The decisions of a rule in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitCounts {
    /// The name of the rule.
    pub rule: String,
    /// Requests to which the rule applied, and that passed.
    pub passed: u64,
    /// Requests that the rule rejected.
    pub rejected: u64,
    /// Requests that the rule would have rejected, in shadow mode.
    pub shadowed: u64,
    /// Requests that were served, or rejected, by [`on_store_error`](crate::limit::LimitRuleBuilder::on_store_error).
    pub store_errors: u64,
    /// LLM calls without a known price that were served, or rejected, by
    /// [`on_unpriced`](crate::limit::LimitRuleBuilder::on_unpriced).
    pub unpriced: u64,
    /// Requests without a property of the rule that were rejected, or to which the rule did not apply.
    pub missing: u64,
    /// Requests to which a budget applied, and whose use is not known, so that they counted as zero: calls without a price, or
    /// that ended before the provider reported their usage.
    pub unknown: u64,
}
