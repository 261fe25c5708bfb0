//! gRPC over HTTP: requests are recognized by their media type, and their results by the status in headers or trailers.

use http::{HeaderMap, HeaderName, Method, Response, StatusCode, request::Parts};
use percent_encoding::percent_decode;

use crate::{
    event::{Outcome, grpc},
    media::media_type,
};

use super::error_text::text_of;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The start of the media types of gRPC.
const GRPC: &[u8] = b"application/grpc";

/// The error of a response that ended without the status of the call, for which clients report `UNKNOWN`.
const NO_STATUS: &str = "UNKNOWN: the call ended without a status";

/// A gRPC call, as far as its response was observed.
#[derive(Default)]
pub(super) struct GrpcCall {
    /// The response is one of gRPC, with the HTTP status that all of them have.
    is_answer: bool,
    /// The status must be in the trailers unless it is in the headers.
    needs_status: bool,
    /// The response has ended, but its status is missing.
    lacks_status: bool,
    result: Option<GrpcResult>,
}

/// The result of a gRPC call.
struct GrpcResult {
    status: u16,
    /// `None` if the status is `OK`.
    error: Option<String>,
}

impl GrpcCall {
    /// Reads the head of the response. Returns `true` if the response ends with trailers, whatever the length of its data.
    pub(super) fn head<B>(&mut self, response: &Response<B>) -> bool {
        let headers = response.headers();
        self.result = GrpcResult::read(headers);
        let is_ok = response.status() == StatusCode::OK;
        let has_trailers = has_trailers(headers);
        self.is_answer = is_ok && (self.result.is_some() || is_grpc(headers));
        self.needs_status = is_ok && has_trailers;
        has_trailers
    }

    /// Reads the trailers.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if self.result.is_none() {
            self.result = GrpcResult::read(trailers);
        }
    }

    /// Records that the whole response was sent.
    pub(super) fn end(&mut self) {
        self.lacks_status = self.needs_status && self.result.is_none();
    }

    /// Returns `true` if the response shows that the service has the method.
    pub(super) fn has_method(&self) -> bool {
        let is_unimplemented = self.result.as_ref().is_some_and(|result| result.status == grpc::UNIMPLEMENTED);
        self.is_answer && !is_unimplemented
    }

    /// Returns the status, the outcome, and the error of a request whose HTTP exchange ended with this outcome and error.
    pub(super) fn finish(self, outcome: Outcome, error: Option<String>) -> (Option<u16>, Outcome, Option<String>) {
        match self.result {
            Some(result) if matches!(outcome, Outcome::Completed | Outcome::Cancelled) => {
                (Some(result.status), result.outcome(), error.or(result.error))
            }
            None if outcome == Outcome::Completed && self.lacks_status => {
                (None, Outcome::Failed, error.or_else(|| Some(NO_STATUS.to_owned())))
            }
            result => (result.map(|result| result.status), outcome, error),
        }
    }
}

/// Returns `true` for `application/grpc`, also with a suffix such as `+proto` or `-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    let is_grpc = |media: &[u8]| media.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC));
    is_grpc(media_type(headers))
}

/// Returns `true` if a response with these headers ends with trailers: gRPC-Web sends them as data.
fn has_trailers(headers: &HeaderMap) -> bool {
    let media = media_type(headers);
    is_grpc(headers) && matches!(media.get(GRPC.len()), None | Some(b'+'))
}

/// Returns `true` for a request that has the form of a gRPC call.
pub(super) fn is_call(head: &Parts) -> bool {
    head.method == Method::POST && is_grpc(&head.headers) && grpc::service_and_method(head.uri.path()).is_some()
}

impl GrpcResult {
    /// Reads the result from the headers of a response without a body, or from trailers.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let status = headers.get(STATUS)?;
        // The specification asks to treat an unknown status as `UNKNOWN`.
        let status = status.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(grpc::UNKNOWN);
        let message = headers.get(MESSAGE).map(|message| percent_decode(message.as_bytes()).decode_utf8_lossy());
        let error = (status != grpc::OK).then(|| {
            let name = grpc::status_name(status);
            match message.and_then(text_of) {
                Some(message) => format!("{name}: {message}"),
                None => name.to_owned(),
            }
        });
        Some(Self { status, error })
    }

    /// Returns the outcome of the request: errors of the server are failures, and those of the client are answers.
    fn outcome(&self) -> Outcome {
        match self.status {
            grpc::CANCELLED => Outcome::Cancelled,
            status if grpc::is_server_error(status) => Outcome::Failed,
            _ => Outcome::Completed,
        }
    }
}
