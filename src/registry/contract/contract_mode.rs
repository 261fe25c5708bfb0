/// The treatment of requests that violate a [`Contract`](super::Contract).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContractMode {
    /// The contract is not checked.
    Off,
    /// Violations are diagnostics on the event, and are counted.
    #[default]
    Report,
    /// The request is rejected.
    Reject,
}

impl ContractMode {
    /// All modes.
    pub const ALL: &'static [Self] = &[Self::Off, Self::Report, Self::Reject];

    /// Returns the name in configuration files, such as `report`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Reject => "reject",
        }
    }

    /// Returns the mode with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.as_str() == name)
    }
}
