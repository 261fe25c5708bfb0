use super::super::{
    jwt::{JwtAlgorithm, JwtVerifier},
    jwt_definition::JwtDefinition,
    jwt_settings::JwtSettings,
    key_set_location::KeySetLocation,
    problem::Problems,
    snapshot::{Snapshot, TokenRules},
};

/// Creates the verifier of tokens. A verifier with the same settings continues, so that it keeps its keys.
pub(super) fn check(
    definition: Option<JwtDefinition>,
    previous: Option<&Snapshot>,
    problems: &mut Problems,
) -> Option<TokenRules> {
    let settings = match definition? {
        JwtDefinition::Verifier(verifier) => return Some(TokenRules { verifier, settings: None }),
        JwtDefinition::Settings(settings) => settings,
    };
    let previous = previous.and_then(|previous| previous.tokens.as_ref());
    if let Some(previous) = previous.filter(|previous| previous.settings.as_ref() == Some(&settings)) {
        return Some(previous.clone());
    }
    match verifier(&settings) {
        Ok(verifier) => Some(TokenRules { verifier, settings: Some(settings) }),
        Err(error) => {
            for (_, message) in error.problems() {
                problems.add(&["jwt"], message);
            }
            None
        }
    }
}

fn verifier(settings: &JwtSettings) -> Result<JwtVerifier, crate::ConfigError> {
    let algorithms = settings.algorithms.iter().map(|name| name.parse::<JwtAlgorithm>());
    let builder = JwtVerifier::builder()
        .issuer(&settings.issuer)
        .audience(&settings.audience)
        .algorithms(algorithms.collect::<Result<Vec<_>, _>>()?)
        .tags(settings.tags.clone());
    match &settings.key_set {
        KeySetLocation::File(path) => builder.jwks_file(path),
        KeySetLocation::Url(url) => builder.jwks_url(url),
    }
    .build()
}
