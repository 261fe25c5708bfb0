use super::{
    bytes::{is_random, part},
    found::Found,
    screening_kind::ScreeningKind,
};

/// Finds the user and the password of URLs (RFC 3986, section 3.2.1): `user:password` in `scheme://user:password@host`.
pub(super) fn find(text: &str, found: &mut impl FnMut(Found)) {
    for (position, separator) in text.match_indices("://") {
        let start = position + separator.len();
        let rest = part(text, start, text.len());
        let is_end =
            |letter: char| letter.is_whitespace() || matches!(letter, '/' | '?' | '#' | '"' | '\'' | '<' | '>');
        let authority = rest.split(is_end).next().unwrap_or_default();
        let Some((user_info, _)) = authority.rsplit_once('@') else { continue };
        let is_secret = match user_info.split_once(':') {
            Some((_, password)) => password.bytes().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()),
            None => user_info.len() >= 16 && is_random(user_info.as_bytes()),
        };
        if is_secret {
            found(Found { start, end: start + user_info.len(), kind: ScreeningKind::Secrets });
        }
    }
}
