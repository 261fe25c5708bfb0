/// A request extension with the identity of the TLS client, as the TLS acceptor has verified it.
///
/// A SPIFFE id such as `spiffe://example.org/ns/prod/sa/web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity(pub String);
