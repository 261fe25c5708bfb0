/// The parts of a request that a [`Gate`](super::Gate) decides by.
///
/// Up to 256 KiB of the body are read ahead for them, and the service receives them again. What comes later is treated as
/// missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateNeeds {
    /// The model, and the maximum number of output tokens, of LLM calls.
    pub call: bool,
    /// The tag `_user`, which the field `user` of the body may set.
    pub user: bool,
}
