use super::{key_set_location::KeySetLocation, login::TagMapping};

/// The section `jwt` of a configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JwtSettings {
    /// The place of the public keys of the issuer.
    pub key_set: KeySetLocation,
    /// The issuer of accepted tokens (claim `iss`).
    pub issuer: String,
    /// The audience of accepted tokens (claim `aud`).
    pub audience: String,
    /// The names of accepted algorithms, such as `ES256`.
    pub algorithms: Vec<String>,
    /// The claims that become tags.
    pub tags: TagMapping,
}
