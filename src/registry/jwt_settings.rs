use super::{key_set_location::KeySetLocation, login::TagMapping};

/// The section `jwt` of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JwtSettings {
    /// The place of the public keys of the issuer.
    pub(crate) key_set: KeySetLocation,
    /// The issuer of accepted tokens (claim `iss`).
    pub(crate) issuer: String,
    /// The audience of accepted tokens (claim `aud`).
    pub(crate) audience: String,
    /// The names of accepted algorithms, such as `ES256`.
    pub(crate) algorithms: Vec<String>,
    /// The claims that become tags.
    pub(crate) tags: TagMapping,
}
