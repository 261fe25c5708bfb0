use std::time::SystemTime;

use uuid::Uuid;

/// A page with its filters, under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedView {
    /// The id, which is ordered by the time of creation.
    pub id: Uuid,
    /// The name, which is unique among the views of its owner.
    pub name: String,
    /// The path of the page, relative to the dashboard, such as `explore`. The first page has an empty path.
    pub page: String,
    /// The query string, without a question mark.
    pub query: String,
    /// The caller who saved it.
    pub owner: String,
    /// The workspace of the owner. `None` if the owner does not see exactly one workspace.
    pub workspace: Option<String>,
    /// `true` if callers who see the same requests as the owner may use it.
    pub is_shared: bool,
    /// The time at which it was saved.
    pub created_at: SystemTime,
    /// The restriction of the owner. It is empty if the owner sees all requests.
    pub(crate) scope: String,
}
