//! The paths of pages that contain values of tags.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    analytics::Dimension,
    dashboard::view::{Condition, UrlQuery},
};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Returns the page of a session or an agent run. `root` is the relative path to the dashboard.
///
/// Browsers take the values `.` and `..` for folders, so these lead to the list of requests.
pub(crate) fn session_href(root: &str, key: &str, value: &str) -> String {
    if [key, value].iter().any(|part| matches!(*part, "." | "..")) {
        let mut query = UrlQuery::default();
        query.push("f", Condition::of_group(&Dimension::tag(key), Some(value)).to_string());
        return format!("{root}requests{}", query.text());
    }
    format!("{root}sessions/{}/{}", segment(key), segment(value))
}
