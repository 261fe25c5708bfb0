use std::{error, fmt};

use http::StatusCode;

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
            QueryError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
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
