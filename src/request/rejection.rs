use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::metadata::Diagnostic;

/// The answer to a request that is not admitted.
///
/// The outcome of its event is [`Rejected`](crate::event::Outcome::Rejected), with the reason.
///
/// ```
/// use http::StatusCode;
/// use tower_tagging::tagging::Rejection;
///
/// let rejection = Rejection::new(StatusCode::UNAUTHORIZED, "expired_key")
///     .with_body("application/problem+json", r#"{"title":"The API key has expired","status":401}"#);
/// ```
#[derive(Clone, Debug)]
pub struct Rejection {
    pub(crate) status: StatusCode,
    pub(crate) reason: Cow<'static, str>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) notes: Vec<Diagnostic<'static>>,
    pub(crate) limit_rule: Option<Box<str>>,
}

impl Rejection {
    /// Creates an answer without a body. The reason is a short code such as `expired_key`, for the event.
    pub fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            reason: reason.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            notes: Vec::new(),
            limit_rule: None,
        }
    }

    /// Creates the answer to a request that is rejected because of its tags: status 400, with the reason in a header.
    pub(crate) fn of_tags(reason: &Diagnostic<'_>) -> Self {
        /// The header of a 400 response that carries the reason of the rejection.
        const REJECTION: HeaderName = HeaderName::from_static("x-tagging-rejection");
        let text = match reason.key() {
            // Header values are visible ASCII, so other characters of a key are escaped.
            Some(key) => format!("{}; {}", reason.code(), key.escape_default()),
            None => reason.code().to_string(),
        };
        let rejection = Self::new(StatusCode::BAD_REQUEST, reason.code().as_str());
        match HeaderValue::from_str(&text) {
            Ok(text) => rejection.with_header(REJECTION, text),
            Err(_) => rejection,
        }
    }

    /// Sets a response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body and its media type.
    #[must_use]
    pub fn with_body(self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut rejection = self.with_header(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        rejection.body = body.into();
        rejection
    }

    /// Adds a diagnostic to the event.
    #[must_use]
    pub fn with_note(mut self, note: Diagnostic<'static>) -> Self {
        self.notes.push(note);
        self
    }

    /// Names the [limit rule](crate::event::Event::limit_rule) that rejects the request.
    #[must_use]
    pub fn with_limit_rule(mut self, rule: impl Into<Box<str>>) -> Self {
        self.limit_rule = Some(rule.into());
        self
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the reason on the event.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}
