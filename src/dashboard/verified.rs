use crate::analytics::Verification;

/// The last verification of sums.
#[derive(Clone, Debug)]
pub(crate) enum Verified {
    /// It cannot be read.
    Unknown,
    Never,
    Last(Verification),
}
