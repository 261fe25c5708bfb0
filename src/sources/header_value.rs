use std::borrow::Cow;

use crate::{
    metadata::{Diagnostic, DiagnosticCode, TagWriter},
    text::header_text,
};

/// Returns a header value as text, and records if it is not valid UTF-8.
pub(super) fn text_of<'v>(name: &str, value: &'v [u8], tags: &mut TagWriter<'_>) -> Cow<'v, str> {
    let (text, is_latin1) = header_text(value);
    if is_latin1 {
        tags.note(Diagnostic::new(DiagnosticCode::NotUtf8).with_key(name));
    }
    text
}
