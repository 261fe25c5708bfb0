use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use super::{MissingTags, Tags};

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
