use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::Method;

use crate::analytics::{Grant, SavedView, Verification, api::Denied};

use super::state::DashboardState;

/// What each page shows in addition to its own content, as an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct PageContext {
    pub(crate) grant: Result<Grant, Denied>,
    /// The name of the caller.
    pub(crate) caller: Option<String>,
    /// The views that the caller may use.
    pub(crate) views: Arc<Vec<SavedView>>,
    /// The last verification of sums, if there was one. `None` if it cannot be read.
    pub(crate) verification: Option<Option<Verification>>,
}

/// Reads the context of a page.
pub(crate) async fn add_context(State(state): State<DashboardState>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if request.method() == Method::GET && path != "/sign-in" {
        let (head, body) = request.into_parts();
        let (grant, caller) = (state.access.grant(&head), state.access.caller_name(&head));
        let (mut views, mut verification) = (Vec::new(), None);
        if let Ok(grant) = &grant {
            // A page without its menu is better than none.
            match state.analytics_of(caller.as_deref()).page_records(grant).await {
                Ok((found, last)) => (views, verification) = (found, Some(last)),
                Err(error) => tracing::warn!(
                    target: "tower_tagging::dashboard",
                    "cannot read the saved views and the last verification: {error}"
                ),
            }
        }
        request = Request::from_parts(head, body);
        request.extensions_mut().insert(PageContext { grant, caller, views: Arc::new(views), verification });
    }
    next.run(request).await
}
