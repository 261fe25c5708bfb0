use std::fmt;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// The rejection of the `Tags` extractor in a route without a layer of this crate: status 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingTags;

impl fmt::Display for MissingTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no tags in the request: add `TaggingLayer` with `Router::layer`, after the routes and after every layer that uses `Tags` (the layer added last is the outermost)")
    }
}

impl std::error::Error for MissingTags {}

impl IntoResponse for MissingTags {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
