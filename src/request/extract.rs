use std::{convert::Infallible, fmt};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use crate::Tags;

/// `Tags` was extracted in a route that no layer of this crate is around; status 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingTags;

impl fmt::Display for MissingTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no tags in the request: add `TaggingLayer` with `Router::layer`, after the routes and after every layer that uses `Tags` (the last one is the outermost)")
    }
}

impl std::error::Error for MissingTags {}

impl IntoResponse for MissingTags {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Tags {
    type Rejection = MissingTags;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, MissingTags> {
        parts.extensions.get::<Self>().cloned().ok_or(MissingTags)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Tags {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
