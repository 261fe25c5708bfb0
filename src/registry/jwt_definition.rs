use super::{jwt::JwtVerifier, jwt_settings::JwtSettings};

/// The verifier of tokens in the definition of a registry.
#[derive(Clone, Debug)]
pub(crate) enum JwtDefinition {
    /// From code.
    Verifier(JwtVerifier),
    /// From a configuration file.
    Settings(JwtSettings),
}
