//! Trusted tags from what the host's own login has verified: claims, and the identity of a TLS client.
//!
//! The login runs outside of this crate, in a layer around it. It puts its result into the request extensions:
//! [`LoginClaims`] for a JSON object such as the claims of a session or a token, [`PeerIdentity`] for the SPIFFE id of the
//! peer's certificate. [`TagMapping`] and [`SpiffeTags`] select the parts that become tags of a trusted scope, which clients
//! cannot override.
//!
//! ```
//! use serde_json::json;
//! use tower_tagging::{Scope, metadata::Scopes, registry::{LoginClaims, TagMapping}};
//!
//! let mapping = TagMapping::new()
//!     .with("/org/id", "tenant_id", Scope::Workspace)?
//!     .with("/sub", "_user", Scope::Forced)?;
//!
//! // The login of the service:
//! let claims = json!({ "sub": "ada", "org": { "id": 42, "plan": "pro" } });
//! let mut request = http::Request::new(());
//! request.extensions_mut().insert(LoginClaims(claims.as_object().cloned().unwrap_or_default()));
//!
//! // The layer that reads them:
//! let mut scopes = Scopes::new();
//! if let Some(LoginClaims(claims)) = request.extensions().get() {
//!     mapping.read(claims, &mut scopes);
//! }
//! assert_eq!(&scopes.get(Scope::Workspace)["tenant_id"], "42");
//! assert_eq!(&scopes.get(Scope::Forced)["_user"], "ada");
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! # Claims that are missing
//!
//! A missing claim sets no tag, so a weaker scope may set the key, including the client. If a client must never set it, give
//! it a default in a trusted scope as well; see [`guide::trusted_tags`](crate::guide::trusted_tags).
//!
//! # Limits
//!
//! The [`Limits`](crate::metadata::Limits) of the layer apply to these tags as they do to all others: by default, a value is
//! truncated to 128 characters.

mod json_pointer;
mod login_claims;
mod peer_identity;
mod spiffe_id;
mod spiffe_tags;
mod tag_mapping;
mod tag_target;

pub use self::{
    login_claims::LoginClaims, peer_identity::PeerIdentity, spiffe_tags::SpiffeTags, tag_mapping::TagMapping,
};
