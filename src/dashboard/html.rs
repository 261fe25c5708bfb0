//! Renders templates.

use askama::Template;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use http::{Method, StatusCode};

use super::{frame::Frame, mount::Mount, page_error::PageError, view::UrlQuery};

/// Renders a page.
pub(crate) fn page(template: &impl Template) -> Result<Response, PageError> {
    match template.render() {
        Ok(html) => Ok(Html(html).into_response()),
        Err(error) => Err(PageError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: format!("cannot render the page: {error}"),
        }),
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
