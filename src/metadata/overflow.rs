/// The treatment of tags that exceed the [`Limits`](super::Limits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Truncates keys and values at a character boundary.
    ///
    /// Drops tags that exceed the limits on bytes and number.
    #[default]
    Truncate,
    /// Drops the tag.
    Drop,
    /// Rejects the request with status 400 and an empty body.
    ///
    /// The response header `x-tagging-rejection` has the reason, such as `value_too_long; team`, and the
    /// [outcome](crate::event::Outcome) is `rejected`. Tags that code sets never cause a rejection. They are dropped.
    Reject,
}
