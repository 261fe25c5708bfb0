/// The effect of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitMode {
    /// None. Nothing is counted.
    Off,
    /// Requests are counted, and those that would be rejected are reported as a diagnostic `limit_shadow` with the rule.
    Shadow,
    /// Requests that exceed the limit are rejected.
    #[default]
    Enforce,
}

impl LimitMode {
    /// Returns the name in configuration files: `off`, `shadow`, or `enforce`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Enforce => "enforce",
        }
    }
}
