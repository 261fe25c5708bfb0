/// The treatment of a request without a property that the rule groups by, or has a condition on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMissing {
    /// The rule does not apply to the request. Requests without tags then escape it.
    #[default]
    Skip,
    /// The request is rejected.
    Deny,
    /// Requests without a property that the rule groups by share one group. Without a property that a condition is on, the
    /// rule does not apply.
    Bucket,
}

impl OnMissing {
    /// Returns the name in configuration files: `skip`, `deny`, or `bucket`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Deny => "deny",
            Self::Bucket => "bucket",
        }
    }
}
