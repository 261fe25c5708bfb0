/// The treatment of a value that [`Screening`](super::Screening) recognizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
