//! Names in error messages, unless they look like secrets.

use super::keys::has_form;

/// Prefixes of the keys of providers and gateways.
const SECRET_PREFIXES: &[&str] = &["sk-", "sk_", "pk-", "pk_", "rk_", "xai-", "gsk_", "AIza", "ghp_", "eyJ", "Bearer"];
const MAX_CHARS: usize = 64;
/// A run of letters and digits of this length is not a word.
const MAX_WORD: usize = 24;

/// What stands in place of a name that may be a secret.
const HIDDEN: &str = "(name not shown)";

/// Returns a name in quotes, or `(name not shown)` if it may be a secret that is in the wrong place.
pub(crate) fn quoted(name: &str) -> String {
    if may_be_secret(name) { HIDDEN.to_owned() } else { format!("{name:?}") }
}

/// Returns a message in which quoted parts that may be secrets are not shown.
pub(crate) fn without_secrets(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, quoted)) = rest.split_once('"') {
        push_words(before, &mut shown);
        let end = end_of_quote(quoted);
        let (part, after) = quoted.split_at_checked(end).unwrap_or((quoted, ""));
        // A JSON Pointer consists of names, and a text may have quotes and words.
        let is_secret = part.split(['/', ' ', '"', '\\']).any(may_be_secret);
        shown.extend(["\"", if is_secret { HIDDEN } else { part }]);
        rest = match after.strip_prefix('"') {
            Some(after) => {
                shown.push('"');
                after
            }
            None => after,
        };
    }
    push_words(rest, &mut shown);
    shown
}

/// Returns the position of the quote that ends a part. A quote after a backslash belongs to the part.
fn end_of_quote(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.unwrap_or(text.len())
}

/// Appends words that are not quoted. A quoted text that contains a quote may end among them.
fn push_words(text: &str, shown: &mut String) {
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            shown.push(' ');
        }
        let is_secret = word.split(['"', '\\']).any(may_be_secret);
        shown.push_str(if is_secret { HIDDEN } else { word });
    }
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
    use super::{quoted, without_secrets};

    #[test]
    fn hides_secrets_wherever_they_are_in_a_message() {
        let secret = "sk-live-0123456789abcdef";
        for message in [
            format!("invalid age {secret:?}: expected one"),
            format!("invalid age {:?}: expected one", format!("\"{secret}")),
            format!("invalid age {:?}: expected one", format!("{secret}\"\\")),
            format!("invalid age {:?}: expected one", format!("a \"b\" {secret} \"c\"")),
            format!("invalid age \"\"{secret}\": expected one"),
            format!("invalid age \"{secret}"),
            format!("the claim \"/a/{secret}\" is twice"),
            secret.to_owned(),
        ] {
            assert!(!without_secrets(&message).contains("0123456789"), "{message}");
        }
        let plain = r#"unknown key "workspce": did you mean "workspace"? (at /a/b, "a \" b")"#;
        assert_eq!(without_secrets(plain), plain);
    }

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
