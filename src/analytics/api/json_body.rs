use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{api_error::ApiError, json_problem::json_problem, state::ApiState};

/// The JSON body of a request, whatever its media type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<ApiState> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &ApiState) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, api).await;
        let bytes = bytes.map_err(|rejection| ApiError::of_status(rejection.status()))?;
        let body = serde_json::from_slice(&bytes);
        body.map(Self).map_err(|error| ApiError::invalid(format!("invalid JSON body: {}", json_problem(&error))))
    }
}
