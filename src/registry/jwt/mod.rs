//! Verifies JSON Web Tokens, whose claims become trusted tags.
//!
//! A [`JwtVerifier`] checks the signature of a token ([RFC 7515](https://www.rfc-editor.org/rfc/rfc7515)), its algorithm, and
//! the claims `exp`, `nbf`, `iss`, and `aud` ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)). Only then are its claims
//! returned, and its [`TagMapping`](super::TagMapping) turns them into tags.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tower_tagging::{Scope, metadata::Scopes, registry::{JwtAlgorithm, JwtVerifier, TagMapping}};
//!
//! // The public key of the example in RFC 7515, appendix A.3.
//! let jwks = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "2026-01",
//!     "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
//! let verifier = JwtVerifier::builder()
//!     .jwks(jwks) // or `jwks_file`, `jwks_url`
//!     .issuer("joe")
//!     .any_audience() // or `audience`
//!     .algorithms([JwtAlgorithm::Es256])
//!     .tags(TagMapping::new().with("/iss", "issuer", Scope::Workspace)?)
//!     .build()?;
//!
//! let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp\
//!     0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_819_000);
//! let claims = verifier.verify(token, now)?;
//! let mut scopes = Scopes::new();
//! verifier.tags().read(&claims, &mut scopes);
//! assert_eq!(&scopes.get(Scope::Workspace)["issuer"], "joe");
//!
//! let later = now + Duration::from_secs(3600);
//! assert_eq!(verifier.verify(token, later).unwrap_err().as_str(), "expired");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Keys
//!
//! The keys are a JSON Web Key Set ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)):
//!
//! - [`jwks`](JwtVerifierBuilder::jwks): text. [`JwtVerifier::set_jwks`] replaces it.
//! - [`jwks_file`](JwtVerifierBuilder::jwks_file): a file. It is read again when it changes.
//! - [`jwks_url`](JwtVerifierBuilder::jwks_url): a URL, such as the `jwks_uri` of an OpenID provider. A background thread
//!   fetches it every five minutes, and earlier if the key of a token may be a new one, but at most every 30 seconds.
//!
//! If a file is broken or a URL unavailable, the last keys stay in force. [`JwtVerifier::status`] reports their age and the
//! last error.
//!
//! # Rules
//!
//! They follow [RFC 8725](https://www.rfc-editor.org/rfc/rfc8725), the best current practices for JSON Web Tokens:
//!
//! - The algorithm is one of an allow-list, never `none`. It must fit the type of the key, and its `alg`, `use`, and `key_ops`
//!   members. An HMAC algorithm cannot be allowed together with one for public keys.
//! - The key is selected by `kid`. A token without `kid` is accepted if exactly one key fits its algorithm. Keys and URLs in
//!   the header of a token are ignored.
//! - `exp` is required. `iss` and `aud` are compared exactly. `iat` is ignored.
//! - Duplicate members, critical header parameters (`crit`), and encrypted tokens are refused.
//!
//! # Limits
//!
//! A token may have 16 KiB. A key set may have 1 MiB and 100 keys. RSA keys need at least 2,048 bits, and HMAC keys the size of
//! the hash. A fetch may take 10 seconds. Verification is synchronous and takes no lock. Tokens are not remembered, so one that
//! is revoked is accepted until it expires.

mod claim_rules;
mod json_object;
mod jwks_client;
mod jwks_status;
mod jwt_algorithm;
mod jwt_error;
mod jwt_verifier;
mod jwt_verifier_builder;
mod key_set;
mod key_source;
mod live_keys;
mod refresher;
mod token;
mod verification_key;

pub use self::{
    jwks_status::JwksStatus, jwt_algorithm::JwtAlgorithm, jwt_error::JwtError, jwt_verifier::JwtVerifier,
    jwt_verifier_builder::JwtVerifierBuilder,
};
