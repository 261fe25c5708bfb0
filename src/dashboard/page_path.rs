use percent_encoding::percent_decode_str;

/// Returns `true` if a path, relative to the dashboard, stays in it. The path of the first page is empty.
pub(crate) fn is_page_path(path: &str) -> bool {
    let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"-._~%".contains(&letter);
    // Browsers take these for folders, also if they are encoded.
    let is_name = |segment: &str| {
        let text = percent_decode_str(segment).decode_utf8_lossy();
        segment.bytes().all(is_plain) && !matches!(text.as_ref(), "" | "." | "..")
    };
    path.is_empty() || path.split('/').all(is_name)
}
