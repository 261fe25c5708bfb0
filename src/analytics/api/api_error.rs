use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::analytics::{QueryError, focus::FocusError};

use super::Denied;

/// An answer other than success, with the codes of Portkey's admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// Always `false`.
    success: bool,
    data: ErrorData,
}

/// The details of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorData {
    /// The expected and the found value, as a sentence.
    message: String,
    /// `AB01` invalid request, `AB02` not found, `AB03` forbidden, `AB04` server error, `AB05` not authenticated, `AB06` too
    /// many requests, `AB07` conflict.
    #[serde(rename = "errorCode")]
    error_code: &'static str,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The request is invalid.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "AB01", message)
    }

    /// There is no such thing, or the caller may not see it.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "AB02", message)
    }

    /// The caller may not do this.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AB03", message)
    }

    /// The state of the thing does not allow this.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "AB07", message)
    }

    /// There is no room for more of these.
    pub(crate) fn throttled(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "AB06", message)
    }

    /// The server failed. The message is for clients, so it contains no details of the cause.
    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "AB04", message)
    }

    /// Returns the error for a status that another layer answered with.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::METHOD_NOT_ALLOWED => Self::new(status, "AB01", "this endpoint does not have this method"),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, "AB01", "the request body is too large"),
            StatusCode::GATEWAY_TIMEOUT => Self::new(status, "AB04", "the request took too long: use a shorter range"),
            status if status.is_client_error() => Self::new(status, "AB01", "invalid request"),
            status => Self::new(status, "AB04", "the server failed"),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthenticated => Self::new(StatusCode::UNAUTHORIZED, "AB05", denied.to_string()),
            Denied::Forbidden => Self::forbidden(denied.to_string()),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Invalid(text) | QueryError::TooLarge(text) => Self::invalid(text),
            QueryError::Forbidden(text) => Self::forbidden(text),
            QueryError::TimedOut(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, "AB04", error.to_string()),
            QueryError::Store(error) => {
                tracing::warn!(%error, "the store failed to answer a request of the analytics API");
                Self::server("the store failed")
            }
        }
    }
}

impl From<FocusError> for ApiError {
    fn from(error: FocusError) -> Self {
        match error {
            FocusError::Query(error) => error.into(),
            FocusError::Write(error) => {
                tracing::warn!(%error, "a FOCUS export could not be written");
                Self::server("the export could not be written")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let data = ErrorData { message: self.message, error_code: self.code };
        let mut response = (self.status, Json(ErrorBody { success: false, data })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
