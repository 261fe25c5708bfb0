use super::{bytes::part, found::Found, screening_kind::ScreeningKind};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// The maximum length of a label (RFC 7468, section 2).
const MAX_LABEL: usize = 64;

/// Finds private keys in PEM (RFC 7468). A key without an end extends to the end of the text.
pub(super) fn find(text: &str, found: &mut impl FnMut(Found)) {
    let mut position = 0;
    while let Some(offset) = part(text, position, text.len()).find(BEGIN) {
        let start = position + offset;
        position = start + BEGIN.len();
        if !is_private(part(text, position, text.len())) {
            continue;
        }
        let rest = part(text, position, text.len());
        let end = rest.find(END).and_then(|at| {
            let label = at + END.len();
            Some(position + label + part(rest, label, rest.len()).find(DASHES)? + DASHES.len())
        });
        position = end.unwrap_or(text.len());
        found(Found { start, end: position, kind: ScreeningKind::Secrets });
    }
}

/// Returns `true` if the label at the start is that of a private key, such as `RSA PRIVATE KEY-----`.
fn is_private(text: &str) -> bool {
    let label = text.find(DASHES).filter(|length| *length <= MAX_LABEL).map(|length| part(text, 0, length));
    label.is_some_and(|label| label.contains("PRIVATE KEY"))
}
