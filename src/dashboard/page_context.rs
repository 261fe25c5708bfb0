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
    pub(crate) verified: Verified,
}

/// The last verification of sums.
#[derive(Clone, Debug, Default)]
pub(crate) enum Verified {
    /// It cannot be read.
    #[default]
    Unknown,
    Never,
    Last(Verification),
}

/// Reads the context of a page.
pub(crate) async fn add_context(State(state): State<DashboardState>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if request.method() == Method::GET && path != "/sign-in" {
        let (head, body) = request.into_parts();
        let (grant, caller) = (state.access.grant(&head), state.access.caller_name(&head));
        let (mut views, mut verified) = (Vec::new(), Verified::Unknown);
        if let Ok(grant) = &grant {
            // A page without its menu is better than none.
            match state.analytics_of(caller.as_deref()).page_records(grant).await {
                Ok((found, last)) => (views, verified) = (found, last.map_or(Verified::Never, Verified::Last)),
                Err(error) => tracing::warn!(
                    target: "tower_tagging::dashboard",
                    "cannot read the saved views and the last verification: {error}"
                ),
            }
        }
        request = Request::from_parts(head, body);
        request.extensions_mut().insert(PageContext { grant, caller, views: Arc::new(views), verified });
    }
    next.run(request).await
}
