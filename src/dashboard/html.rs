//! Renders templates.

use askama::Template;
use axum::{
    extract::Request,
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use http::StatusCode;

use super::{frame::Frame, page_error::PageError};

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
pub(crate) async fn show_errors(request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<PageError>() else { return response };
    let page = ErrorPage { frame: Frame::new(error.title(), &path, String::new(), None), error: &error };
    (error.status, Html(page.render().unwrap_or_else(|_| error.message.clone()))).into_response()
}
