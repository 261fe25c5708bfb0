//! The paths of pages that contain values of tags.

use crate::{
    analytics::Dimension,
    dashboard::{
        mount::Mount,
        view::{Condition, UrlQuery, View, segment, short_name},
    },
};

/// The keys of tags that lead to the page of a session or an agent run.
pub(crate) const SESSION_KEYS: [&str; 2] = ["session_id", "agent_run_id"];

/// Returns the page of a session or an agent run, with the parameters of a view. `root` is the relative path to the dashboard.
///
/// Browsers take the values `.` and `..` for folders, and some servers an empty one for none, so these lead to the list of
/// requests.
pub(crate) fn session_href(root: &str, key: &str, value: &str, view: &View) -> String {
    if [key, value].into_iter().any(|text| text.is_empty() || is_folder(text)) {
        let condition = Condition::of_group(&Dimension::tag(key), Some(value));
        return format!("{root}requests{}", view.with(condition).query_string().text());
    }
    format!("{root}sessions/{}/{}{}", segment(key), segment(value), view.query_string().text())
}

/// Returns the page of a trace. `root` is the relative path to the dashboard.
pub(crate) fn trace_href(root: &str, id: &str) -> String {
    if is_folder(id) {
        return format!("{root}requests");
    }
    format!("{root}traces/{}", segment(id))
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

/// Returns the page of what a value cost in the last month of a view. `None` for values that cannot be part of a path.
pub(crate) fn showback_href(mount: &Mount, dimension: &Dimension, value: &str, view: &View) -> Option<String> {
    let name = short_name(dimension);
    let is_name = |text: &str| !text.is_empty() && !is_folder(text);
    let path = || format!("showback/{}/{}", segment(&name), segment(value));
    (is_name(&name) && is_name(value)).then(|| mount.link(&path(), &view.query_string().text()))
}

/// Returns `true` for segments of paths that browsers remove.
fn is_folder(segment: &str) -> bool {
    matches!(segment, "." | "..")
}
