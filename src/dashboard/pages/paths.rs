//! The paths of pages that contain values of tags.

use crate::{
    analytics::Dimension,
    dashboard::{
        mount::Mount,
        view::{Condition, UrlQuery, segment, short_name},
    },
};

/// Returns the page of a session or an agent run. `root` is the relative path to the dashboard.
///
/// Browsers take the values `.` and `..` for folders, so these lead to the list of requests.
pub(crate) fn session_href(root: &str, key: &str, value: &str) -> String {
    if is_folder(key) || is_folder(value) {
        let mut query = UrlQuery::default();
        query.push("f", Condition::of_group(&Dimension::tag(key), Some(value)).to_string());
        return format!("{root}requests{}", query.text());
    }
    format!("{root}sessions/{}/{}", segment(key), segment(value))
}

/// Returns the page of the values of a dimension, with the parameters of a view.
pub(crate) fn by_href(mount: &Mount, dimension: &Dimension, mut query: UrlQuery) -> String {
    let name = short_name(dimension);
    if is_folder(&name) {
        query.push("g", name);
        return mount.link("explore", &query.text());
    }
    mount.link(&format!("by/{}", segment(&name)), &query.text())
}

/// Returns `true` for segments of paths that browsers remove.
fn is_folder(segment: &str) -> bool {
    matches!(segment, "." | "..")
}
