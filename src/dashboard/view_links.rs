use crate::analytics::SavedView;

use super::{format, mount::Mount};

/// The largest number of views of the menu.
pub(crate) const MAX_LINKS: usize = 20;
/// The largest number of characters of a name in the menu.
const MAX_NAME: usize = 40;

/// The menu of saved views.
#[derive(Clone, Debug)]
pub(crate) struct ViewLinks {
    /// Names with their pages.
    pub(crate) links: Vec<(String, String)>,
    /// The page with all views.
    pub(crate) all: String,
    pub(crate) is_current: bool,
}

impl ViewLinks {
    pub(crate) fn new(views: &[SavedView], mount: &Mount, is_current: bool) -> Self {
        let link = |view: &SavedView| (format::cut(&view.name, MAX_NAME), view_href(mount, view));
        let links = views.iter().take(MAX_LINKS).map(link).collect();
        Self { links, all: mount.link("views", ""), is_current }
    }
}

/// Returns the page of a view.
pub(crate) fn view_href(mount: &Mount, view: &SavedView) -> String {
    let query = if view.query.is_empty() { String::new() } else { format!("?{}", view.query) };
    mount.link(&view.page, &query)
}
