/// The state of a [`VirtualKey`](super::VirtualKey).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VirtualKeyStatus {
    /// It can be used.
    #[default]
    Active,
    /// One of its limits is used up.
    Exhausted,
    /// It has expired.
    Expired,
}

impl VirtualKeyStatus {
    /// Returns the name, such as `active`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
        }
    }
}
