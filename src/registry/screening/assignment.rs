//! Secrets that a name precedes: `password=…`, `"api_key": "…"`, `Bearer …`.

use super::{
    bytes::{at, before, is_random, part, run_end},
    jwt::decode,
};

/// Returns the ends of the names of secrets, without separators, whose last letter this is.
const fn secret_names(last: u8) -> &'static [&'static str] {
    match last {
        b'd' => &["password", "passwd", "pwd"],
        b'e' => &["passphrase"],
        b't' => &["secret", "passwort"],
        b'y' => &[
            "apikey",
            "accesskey",
            "secretkey",
            "privatekey",
            "accountkey",
            "signingkey",
            "encryptionkey",
            "masterkey",
            "subscriptionkey",
            "sharedkey",
            "authkey",
        ],
        _ => &[],
    }
}

/// Returns the ends of names whose values are secrets if they look random, and whose last letter this is.
const fn token_names(last: u8) -> &'static [&'static str] {
    match last {
        b'e' => &["signature"],
        b'g' => &["sig"],
        b'h' => &["auth"],
        b'l' => &["credential"],
        b'n' => &["token", "authorization"],
        b's' => &["pass", "credentials"],
        b't' => &["jwt"],
        _ => &[],
    }
}

/// Names of tokens that give access to nothing but the next page.
const HARMLESS_TOKENS: &[&str] =
    &["pagetoken", "nexttoken", "continuationtoken", "synctoken", "cursortoken", "paginationtoken", "csrftoken"];

/// The words before `key` that make it the name of a secret.
const KEY_WORDS: &[&str] =
    &["api", "access", "secret", "private", "account", "encryption", "signing", "subscription", "master"];

/// Words that stand for a secret, or describe it.
const PLACEHOLDERS: &[&str] = &[
    "true",
    "false",
    "null",
    "none",
    "nil",
    "undefined",
    "required",
    "missing",
    "invalid",
    "empty",
    "unset",
    "redacted",
    "hidden",
    "masked",
    "expired",
    "incorrect",
    "wrong",
    "string",
    "changed",
    "optional",
    "unknown",
    "disabled",
    "enabled",
    "secret",
    "password",
    "token",
    "revoked",
    "rotated",
    "bearer",
    "basic",
];

/// The maximum length of a value, in bytes.
const MAX_VALUE: usize = 4096;

/// The kind of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The value is a secret.
    Secret,
    /// The value is a secret if it looks random.
    Token,
}

impl Name {
    /// Returns the kind of a name, or `None` if its values are not secrets.
    pub(super) fn of(name: &str) -> Option<Self> {
        let last = name.as_bytes().last()?.to_ascii_lowercase();
        let is = |names: &[&str]| names.iter().any(|end| ends_with(name, end));
        if is(secret_names(last)) {
            Some(Self::Secret)
        } else if is(token_names(last)) && !is(HARMLESS_TOKENS) {
            Some(Self::Token)
        } else {
            None
        }
    }

    /// Returns `true` if a value is a secret. `is_certain` excludes prose: the value follows an equals sign or is quoted.
    pub(super) fn is_secret(self, value: &str, is_certain: bool) -> bool {
        let has_letter = value.bytes().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
        let has_digit = value.bytes().any(|byte| byte.is_ascii_digit());
        if !(has_letter || has_digit)
            || ["<", "[", "{", "***", "${", "$(", "%s", "%(", "//"].iter().any(|start| value.starts_with(start))
            || PLACEHOLDERS.iter().any(|word| word.eq_ignore_ascii_case(value))
        {
            return false;
        }
        let has_special = value.bytes().any(|byte| byte.is_ascii_punctuation() && !matches!(byte, b'-' | b'_' | b'.'));
        match self {
            Self::Secret if is_certain => value.len() >= 4,
            Self::Secret => value.len() >= 6 && (has_digit || has_special || value.len() >= 20),
            Self::Token => {
                value.len() >= 16 && has_letter && has_digit
                    || value.len() >= 6 && has_letter && has_digit && has_special
            }
        }
    }
}

/// Returns `true` if a name ends with these letters. Case and separators in the name do not count.
///
/// A short end must be a whole word: `db_pass` and `dbPass`, but not `bypass`.
fn ends_with(name: &str, end: &str) -> bool {
    let mut bytes = name.bytes().rev().filter(|byte| !matches!(byte, b'-' | b'_'));
    let is_end = end.bytes().rev().all(|letter| bytes.next().is_some_and(|byte| byte.to_ascii_lowercase() == letter));
    is_end && (end.len() > 4 || starts_word(name.as_bytes(), name.len() - end.len()))
}

/// Returns `true` if a word starts at a position: after a separator, or with a capital letter after another letter.
fn starts_word(name: &[u8], start: usize) -> bool {
    let (before, first) = (before(name, start), at(name, start));
    !before.is_ascii_alphanumeric() || before.is_ascii_lowercase() && first.is_ascii_uppercase()
}

/// Returns the secret that follows the word between two positions.
pub(super) fn value_after(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    // Most tags are a single word.
    if end + 3 >= text.len() {
        return None;
    }
    let word = part(text, start, end);
    if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
        return credentials(text, word, end);
    }
    let name = name_of(text, start, word)?;
    let bytes = text.as_bytes();
    let is_space = |byte: u8| byte == b' ';
    let is_quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'`' | b'\\');
    let after_name = run_end(bytes, end, is_quote);
    let separator = run_end(bytes, after_name, is_space);
    let rest = part(text, separator, text.len());
    let (after, is_equals) = match at(bytes, separator) {
        b'=' => (separator + run_end(rest.as_bytes(), 0, |byte| matches!(byte, b'=' | b'>')), true),
        b':' if rest.starts_with(":=") => (separator + 2, true),
        b':' => (separator + 1, false),
        b'%' if rest.starts_with("%3D") || rest.starts_with("%3d") => (separator + 3, true),
        b'i' if separator > end && rest.starts_with("is ") => (separator + 3, false),
        // `--password value`.
        _ if separator > end && word.starts_with("--") => (separator, true),
        // `invalid x-api-key …`.
        _ if separator > end => return random_after(text, separator),
        _ => return None,
    };
    let quote = run_end(bytes, after, is_space);
    let value = run_end(bytes, quote, is_quote);
    let is_quoted = value > quote;
    let is_end = |byte: u8| match byte {
        b'"' | b'\'' | b'`' => true,
        b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b'&' | b')' | b']' | b'}' | b'>' | b'|' => !is_quoted,
        _ => false,
    };
    let limited = part(text, 0, floor_boundary(text, value + MAX_VALUE));
    let value_end = run_end(limited.as_bytes(), value, |byte| !is_end(byte));
    let content = part(text, value, value_end).trim_end_matches(['\\', ':', '.']);
    let is_folder = word.eq_ignore_ascii_case("pwd") && content.starts_with(['/', '~']);
    let is_secret = name.is_secret(content, is_equals || is_quoted) && !is_folder;
    // The value may be that of a scheme: `Authorization: Bearer …`.
    is_secret.then_some((value, value + content.len()))
}

/// Returns the kind of the name that ends with a word. Names such as `api key` have two words.
fn name_of(text: &str, start: usize, word: &str) -> Option<Name> {
    if word.eq_ignore_ascii_case("key") {
        let words = part(text, 0, start).strip_suffix(' ')?;
        let length = words.bytes().rev().take(12).take_while(u8::is_ascii_alphabetic).count();
        let first = part(words, words.len() - length, words.len());
        let is_secret = KEY_WORDS.iter().any(|known| known.eq_ignore_ascii_case(first));
        return is_secret.then_some(Name::Secret);
    }
    if word.eq_ignore_ascii_case("pw") { Some(Name::Secret) } else { Name::of(word) }
}

/// Returns the word at a position if it looks random.
fn random_after(text: &str, start: usize) -> Option<(usize, usize)> {
    const MIN_LENGTH: usize = 20;
    let end = run_end(text.as_bytes(), start, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let word = part(text, start, end).as_bytes();
    (word.len() >= MIN_LENGTH && is_random(word)).then_some((start, end))
}

/// Returns the last position up to a limit that is not within a character.
fn floor_boundary(text: &str, limit: usize) -> usize {
    (0..=limit.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Returns the credentials after the name of a scheme (RFC 6750, RFC 7617).
fn credentials(text: &str, scheme: &str, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let start = match at(bytes, end) {
        b' ' | b':' => run_end(bytes, end, |byte| matches!(byte, b' ' | b':')),
        b'%' if part(text, end, end + 3) == "%20" => end + 3,
        _ => return None,
    };
    let is_token68 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    let token_end = run_end(bytes, start, is_token68);
    let token = part(text, start, token_end).trim_end_matches('.');
    let is_secret = if scheme.eq_ignore_ascii_case("basic") {
        is_user_and_password(token)
    } else {
        let has = |is_part: fn(&u8) -> bool| token.as_bytes().iter().any(is_part);
        let has_letter = has(u8::is_ascii_alphabetic);
        token.len() >= 8 && has_letter && has(u8::is_ascii_digit)
            || token.len() >= 20 && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
            || is_random(token.as_bytes())
    };
    is_secret.then_some((start, start + token.len()))
}

/// Returns `true` if a text is Base64 of printable characters with a colon.
fn is_user_and_password(token: &str) -> bool {
    if token.len() < 6 {
        return false;
    }
    let decoded = decode(token.as_bytes());
    decoded.contains(&b':') && std::str::from_utf8(&decoded).is_ok_and(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::{part, value_after};

    /// Returns the secret after the first word.
    fn secret(text: &str) -> Option<&str> {
        let start = text.find(|letter: char| letter.is_ascii_alphanumeric() || letter == '-').unwrap();
        let end = start
            + text[start..]
                .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '-')
                .unwrap();
        value_after(text, start, end).map(|(start, end)| part(text, start, end))
    }

    #[test]
    fn finds_values_of_secret_names() {
        for (text, expected) in [
            ("password=hunter2", "hunter2"),
            ("PASSWORD = 'correct horse'", "correct horse"),
            ("DB_PASSWORD=pässwörd;", "pässwörd"),
            (r#""api_key": "abcdef","#, "abcdef"),
            (r#"\"apiKey\":\"abcdef\""#, "abcdef"),
            ("client-secret: s3cr3t!x.", "s3cr3t!x"),
            ("password is hunter2", "hunter2"),
            ("pw: hunter2", "hunter2"),
            ("DB_PASS=hunter2!", "hunter2!"),
            ("dbPass=hunter2!", "hunter2!"),
            ("x-api-key 0123456789abcdef01234567 failed", "0123456789abcdef01234567"),
            ("--password hunter2 --verbose", "hunter2"),
            ("AccountKey=abc/def+==;Endpoint", "abc/def+=="),
            ("access_token=0123456789abcdef0&x", "0123456789abcdef0"),
            ("Bearer abc-123-def", "abc-123-def"),
            ("bearer%20abc123def", "abc123def"),
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            assert_eq!(secret(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn prose_and_placeholders_are_not_secrets() {
        for text in [
            "password: must not be empty",
            "password is required",
            "api_key: missing",
            "secret=<hidden>",
            "password=***",
            "password=${PASSWORD}",
            "pwd=/srv/app",
            "token=next",
            "page_token=abcdef0123456789",
            "max_tokens=4096",
            "Basic subscription:",
            "bearer authentication failed",
            "passport=abcdef",
            "bypass=0123456789abcdef",
            "secret://vault/path1",
        ] {
            assert_eq!(secret(text), None, "{text}");
        }
    }
}
