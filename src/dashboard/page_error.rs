use std::{error, fmt};

use http::StatusCode;
use uuid::Uuid;

use crate::analytics::{QueryError, api::Denied};

/// The reason why a page is not shown.
#[derive(Clone, Debug)]
pub(crate) struct PageError {
    pub(crate) status: StatusCode,
    /// A sentence for the reader.
    pub(crate) message: String,
}

impl PageError {
    /// A part of the URL or of a form is not valid.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    /// The address leads nowhere.
    pub(crate) fn unknown_page() -> Self {
        Self::not_found("This address does not lead to a page.")
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, message: message.into() }
    }

    /// The server failed. The cause is logged under a reference, which the reader sees instead.
    pub(crate) fn internal(sentence: &str, cause: &dyn fmt::Display) -> Self {
        // Its end is random.
        let id = Uuid::now_v7().simple().to_string();
        let reference = id.get(20..).unwrap_or(&id);
        tracing::error!(target: "tower_tagging::dashboard", reference, error = %cause, "a page of the dashboard failed");
        let message = format!("{sentence} The log of the server has the cause, with the reference {reference}.");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message }
    }

    /// Returns the heading of the error page.
    pub(crate) fn title(&self) -> &'static str {
        match self.status {
            StatusCode::BAD_REQUEST => "This address is not valid",
            StatusCode::UNAUTHORIZED => "Please sign in",
            StatusCode::FORBIDDEN => "You may not see this page",
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::GATEWAY_TIMEOUT => "The answer took too long",
            _ => "This page cannot be shown",
        }
    }
}

impl From<QueryError> for PageError {
    fn from(error: QueryError) -> Self {
        let status = match error {
            QueryError::Invalid(_) | QueryError::TooLarge(_) => StatusCode::BAD_REQUEST,
            QueryError::Forbidden(_) => StatusCode::FORBIDDEN,
            QueryError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            QueryError::Store(cause) => return Self::internal("The store failed.", &cause),
        };
        Self { status, message: error.to_string() }
    }
}

impl From<Denied> for PageError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthenticated => {
                Self { status: StatusCode::UNAUTHORIZED, message: "Sign in to see this page.".to_owned() }
            }
            Denied::Forbidden => Self::forbidden("Your login may not use the dashboard."),
        }
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for PageError {}
