use std::fmt;

use http::StatusCode;

/// The longest message of an API that is shown.
const MAX_MESSAGE: usize = 600;

/// The reason why a tool has no answer, for a model and the person in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolError {
    /// An argument is missing or not valid. The text names it and what was expected.
    Invalid(String),
    /// The API answered with an error.
    Api { status: StatusCode, message: String, hint: String },
    /// The API does not have this endpoint.
    NoEndpoint(&'static str),
    /// The API did not answer, or with something that is not an answer.
    Unavailable(String),
}

impl ToolError {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// Returns `true` if the API has no such thing, or no such endpoint.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. })
    }

    /// Turns a missing endpoint into its own error, unless the message is that of a missing thing.
    pub(crate) fn or_no_endpoint(self, endpoint: &'static str, missing: &str) -> Self {
        match self {
            Self::Api { message, .. } if missing == message => Self::Api {
                status: StatusCode::NOT_FOUND,
                hint: "There is none with this id among the requests that this API key may see.".to_owned(),
                message,
            },
            error if error.is_not_found() => Self::NoEndpoint(endpoint),
            error => error,
        }
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) => write!(f, "Invalid arguments: {text}"),
            Self::NoEndpoint(endpoint) => write!(
                f,
                "This API does not have the endpoint {endpoint}, which tower-tagging adds to the API that Portkey's clients \
                 know. Use the tools get_cost_analytics, get_request_analytics, get_token_analytics, \
                 get_user_analytics_summary, and get_model_analytics_summary instead."
            ),
            Self::Unavailable(text) => write!(f, "The analytics API cannot be used: {text}"),
            Self::Api { status, message, hint } => {
                let shown: String = message.chars().filter(|letter| !letter.is_control()).take(MAX_MESSAGE).collect();
                match *status {
                    StatusCode::UNAUTHORIZED => write!(
                        f,
                        "401 Unauthorized: the API does not know who you are ({shown}). The API key is missing, unknown, \
                         disabled, or expired."
                    ),
                    StatusCode::FORBIDDEN => write!(
                        f,
                        "403 Forbidden: the API key is valid, but may not do this ({shown}). Another call with the same key \
                         will not help."
                    ),
                    StatusCode::BAD_REQUEST => write!(f, "400 Bad Request: the API rejects an argument: {shown}."),
                    StatusCode::NOT_FOUND => write!(f, "404 Not Found: {shown}."),
                    StatusCode::TOO_MANY_REQUESTS => write!(f, "429 Too Many Requests: {shown}. Try again later."),
                    StatusCode::GATEWAY_TIMEOUT => write!(f, "504 Gateway Timeout: {shown}."),
                    status => write!(f, "The API answered with {status}: {shown}."),
                }?;
                if hint.is_empty() { Ok(()) } else { write!(f, " {hint}") }
            }
        }
    }
}
