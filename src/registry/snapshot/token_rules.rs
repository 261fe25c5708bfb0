use super::super::{jwt::JwtVerifier, jwt_settings::JwtSettings};

/// The verifier of tokens.
#[derive(Clone, Debug)]
pub(crate) struct TokenRules {
    pub(crate) verifier: JwtVerifier,
    /// The settings of a verifier from a configuration file.
    pub(crate) settings: Option<JwtSettings>,
}
