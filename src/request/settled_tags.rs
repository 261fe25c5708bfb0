use crate::{metadata::Metadata, usage::Money};

/// The final tags of a request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SettledTags<'a> {
    /// The effective metadata.
    pub metadata: &'a Metadata,
    /// The number of tags of the client or handler that trusted tags override.
    pub shadowed: usize,
    /// The cost of the request. `None` if it has none, if it is unknown, or if the event was dropped unread.
    pub cost: Option<Money>,
}
