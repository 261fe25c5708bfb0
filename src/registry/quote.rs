//! Names in error messages, unless they look like secrets.

use super::keys::has_form;

/// Prefixes of the keys of providers and gateways.
const SECRET_PREFIXES: &[&str] = &["sk-", "sk_", "pk-", "pk_", "rk_", "xai-", "gsk_", "AIza", "ghp_", "eyJ", "Bearer"];
const MAX_CHARS: usize = 64;
/// A run of letters and digits of this length is not a word.
const MAX_WORD: usize = 24;

/// Returns a name in quotes, or `(name not shown)` if it may be a secret that is in the wrong place.
pub(crate) fn quoted(name: &str) -> String {
    if may_be_secret(name) { "(name not shown)".to_owned() } else { format!("{name:?}") }
}

/// Returns a message in which quoted parts that may be secrets are not shown.
pub(crate) fn without_secrets(message: &str) -> String {
    let parts = message.split('"').enumerate();
    // Every second part is between quotes. A JSON Pointer consists of names.
    let is_secret = |part: &str| part.split('/').any(may_be_secret);
    let shown = parts.map(|(at, part)| if at % 2 == 1 && is_secret(part) { "(name not shown)" } else { part });
    shown.collect::<Vec<_>>().join("\"")
}

/// Returns `true` for a text that starts like a key, or has the form of one.
pub(crate) fn is_like_key(text: &str) -> bool {
    has_form(text) || SECRET_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// Returns `true` for a text that may be a secret. It may also be a long id.
pub(crate) fn may_be_secret(text: &str) -> bool {
    is_like_key(text)
        || text.chars().count() > MAX_CHARS
        || text.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word.len() >= MAX_WORD)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn shows_names_but_not_secrets() {
        for name in ["web", "user-id", "Größe", "openai-prod", "additionalProperties"] {
            assert_eq!(quoted(name), format!("{name:?}"));
        }
        let digest = "0".repeat(64);
        for secret in ["sk-gateway-1", "eyJhbGciOi", "a1b2c3d4e5f6a7b8c9d0e1f2", &digest] {
            assert_eq!(quoted(secret), "(name not shown)");
        }
    }
}
