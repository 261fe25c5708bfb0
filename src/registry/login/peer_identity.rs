/// A request extension with the identity of the TLS client, as the TLS acceptor has verified it.
///
/// It is a SPIFFE id such as `spiffe://example.org/ns/prod/sa/web`, from the URI of the client's certificate. Only code that
/// has verified the certificate may insert it. [`SpiffeTags`](super::SpiffeTags) reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity(pub String);
