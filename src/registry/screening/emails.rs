use super::{
    bytes::{at, part},
    found::Found,
    screening_kind::ScreeningKind,
};

/// The maximum lengths of the local part and the domain in bytes (RFC 5321, section 4.5.3.1).
const MAX_LOCAL: usize = 64;
const MAX_DOMAIN: usize = 255;

/// The ends of names that have the form of an address: files such as `logo@2x.png`, and hosts within a network.
const NO_TOP_LEVEL_DOMAINS: &[&str] = &[
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "css",
    "js",
    "mjs",
    "ts",
    "tsx",
    "json",
    "map",
    "html",
    "toml",
    "yaml",
    "yml",
    "internal",
    "local",
    "localhost",
    "localdomain",
    "lan",
    "svc",
    "cluster",
    "latest",
    "alpha",
    "beta",
];

/// Finds email addresses, also with internationalized domains (RFC 6531) and with a percent-encoded `@`.
pub(super) fn find(text: &str, found: &mut impl FnMut(Found)) {
    let bytes = text.as_bytes();
    let mut end_of_last = 0;
    for (position, byte) in bytes.iter().enumerate() {
        let sign = match byte {
            b'@' => 1,
            b'%' if part(text, position + 1, position + 3) == "40" => 3,
            _ => continue,
        };
        let start = local_start(text, end_of_last, position, sign > 1);
        let Some(end) = domain_end(text, position + sign).filter(|_| start < position) else { continue };
        if !is_credential_or_remote(text, start, end) {
            found(Found { start, end, kind: ScreeningKind::Emails });
            end_of_last = end;
        }
    }
}

/// Returns the start of the local part that ends at a position, or the position if there is none.
fn local_start(text: &str, first: usize, end: usize, is_encoded: bool) -> usize {
    let before = part(text, first, end);
    let is_local = |letter: char| {
        letter.is_alphanumeric()
            || letter == '%' && is_encoded
            || matches!(letter, '.' | '_' | '+' | '-' | '\'' | '~' | '!' | '#' | '&')
    };
    let mut local = before;
    for (at, letter) in before.char_indices().rev().take(MAX_LOCAL + 1) {
        if !is_local(letter) {
            local = part(before, at + letter.len_utf8(), before.len());
            break;
        }
    }
    // Quotes and dots before the address are not part of it.
    let local = local.trim_start_matches(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '_' | '+'));
    if local.len() > MAX_LOCAL || local.ends_with('.') { end } else { end - local.len() }
}

/// Returns the end of the domain that starts at a position.
fn domain_end(text: &str, start: usize) -> Option<usize> {
    let rest = part(text, start, text.len());
    let is_domain = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '.');
    let length = rest.char_indices().take(MAX_DOMAIN + 1).find(|(_, letter)| !is_domain(*letter));
    let domain = part(rest, 0, length.map_or(rest.len(), |(at, _)| at)).trim_end_matches(['.', '-']);
    if domain.len() > MAX_DOMAIN {
        return None;
    }
    let (names, top) = domain.rsplit_once('.')?;
    let are_labels =
        names.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    (are_labels && is_top_level(top)).then_some(start + domain.len())
}

fn is_top_level(label: &str) -> bool {
    let is_name = label.chars().count() >= 2 && label.chars().all(char::is_alphabetic)
        || label.len() > 4 && label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    is_name && !NO_TOP_LEVEL_DOMAINS.iter().any(|other| other.eq_ignore_ascii_case(label))
}

/// Returns `true` for the user of a URL and for a Git remote: `ssh://git@example.com/app`, `git@example.com:acme/app`.
fn is_credential_or_remote(text: &str, start: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    part(text, 0, start).ends_with("://") || part(text, start, end).starts_with("git@") && at(bytes, end) == b':'
}
