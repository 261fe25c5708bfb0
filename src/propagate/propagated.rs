use http::HeaderMap;

use super::left_out::LeftOut;

/// The headers for an outgoing call, and the tags that were left out of them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Propagated {
    /// The headers to send. Each has one value.
    pub headers: HeaderMap,
    /// Tags on the allow-list that a dialect cannot represent.
    ///
    /// There is one entry for each dialect.
    pub left_out: Vec<LeftOut>,
}
