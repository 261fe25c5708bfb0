//! Renders templates.

use std::time::Duration;

use askama::Template;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use http::{Method, StatusCode};

use super::{frame::Frame, mount::Mount, page_error::PageError, view::UrlQuery};

/// The longest time until a page begins.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Renders a page.
pub(crate) fn page(template: &impl Template) -> Result<Response, PageError> {
    match template.render() {
        Ok(html) => Ok(Html(html).into_response()),
        Err(error) => Err(PageError::internal("The page could not be rendered.", &error)),
    }
}

#[derive(Template)]
#[template(path = "error.html", config = "src/dashboard/askama.toml")]
struct ErrorPage<'a> {
    frame: Frame,
    error: &'a PageError,
}

impl IntoResponse for PageError {
    /// The page itself is rendered by [`show_errors`], which knows the path.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Answers with an error if a page takes too long.
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => PageError {
            status: StatusCode::GATEWAY_TIMEOUT,
            message: format!("The page took longer than {} seconds: choose a shorter range.", TIMEOUT.as_secs()),
        }
        .into_response(),
    }
}

/// Answers with a page where a [`PageError`] was returned.
///
/// Callers that are unknown are redirected to the sign-in, if there is one.
pub(crate) async fn show_errors(State(has_sign_in): State<bool>, request: Request, next: Next) -> Response {
    let mount = Mount::of(request.extensions(), request.uri());
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let is_get = request.method() == Method::GET;
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<PageError>() else { return response };
    if has_sign_in && is_get && error.status == StatusCode::UNAUTHORIZED {
        let mut target = UrlQuery::default();
        target.push("next", format!("{path}{query}"));
        return Redirect::to(&mount.link("sign-in", &target.text())).into_response();
    }
    let page = ErrorPage { frame: Frame::bare(error.title(), &mount), error: &error };
    (error.status, Html(page.render().unwrap_or_else(|_| error.message.clone()))).into_response()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::{Router, body::Body, extract::Request, middleware, routing::get};
    use http::StatusCode;
    use tower::ServiceExt as _;

    use super::{limit_time, show_errors};

    #[tokio::test(start_paused = true)]
    async fn a_page_that_takes_too_long_is_an_error_page() {
        let app = Router::new()
            .route("/slow", get(pending::<()>))
            .layer(middleware::from_fn(limit_time))
            .layer(middleware::from_fn_with_state(false, show_errors));
        let response = app.oneshot(Request::builder().uri("/slow").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let html = String::from_utf8(body.to_vec()).unwrap();
        assert!(html.contains("took longer than 30 seconds") && html.contains("<!doctype html>"), "{html}");
    }
}
