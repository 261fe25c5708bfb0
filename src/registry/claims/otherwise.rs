/// The treatment of tags that an API key may not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// Drops the tag, with a diagnostic.
    #[default]
    Drop,
    /// Rejects the request with status 403.
    Reject,
}
