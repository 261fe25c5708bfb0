/// The result of looking for the API key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrincipalStatus {
    /// The request has a valid key.
    Known,
    /// The request has a key that has expired, or a secret of a key that has expired.
    Expired,
    /// The request has a key that is disabled.
    Disabled,
    /// The request has a key that is meant for a gateway, but is not known.
    ///
    /// It is in a header for keys that providers do not use, or it has the form of an [`ApiKey`](super::ApiKey).
    Unknown,
    /// The request has no key that is meant for a gateway.
    Missing,
}
