/// The treatment of a value that [`Screening`](super::Screening) recognizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ScreeningAction {
    /// Nothing is looked for.
    #[default]
    Off,
    /// The recognized part is replaced by its kind in brackets, such as `[email]`.
    Mask,
    /// The recognized part is replaced by a keyed hash, so that equal values can still be grouped.
    Hash,
    /// The whole tag is dropped. In other texts, the part is masked.
    Drop,
}

impl ScreeningAction {
    /// All actions.
    pub const ALL: &'static [Self] = &[Self::Off, Self::Mask, Self::Hash, Self::Drop];

    /// Returns the name in configuration files, such as `mask`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mask => "mask",
            Self::Hash => "hash",
            Self::Drop => "drop",
        }
    }

    /// Returns the action with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == name)
    }
}
