//! gRPC over HTTP: requests are recognized by their media type, and their results by the status in headers or trailers.

use http::{HeaderMap, HeaderName, Method, request::Parts};
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

/// The result of a gRPC call.
pub(super) struct GrpcResult {
    pub(super) status: u16,
    /// `None` if the status is `OK`.
    pub(super) error: Option<String>,
}

/// Returns `true` for `application/grpc`, also with a suffix such as `+proto` or `-web`.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let is_grpc = |media: &[u8]| media.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC));
    is_grpc(media_type(headers))
}

/// Returns `true` if a response with these headers ends with trailers: gRPC-Web sends them as data.
pub(super) fn has_trailers(headers: &HeaderMap) -> bool {
    let media = media_type(headers);
    is_grpc(headers) && matches!(media.get(GRPC.len()), None | Some(b'+'))
}

/// Returns the path of a gRPC request, `/package.Service/Method`, or `None` if the request is not one.
pub(super) fn route_of(head: &Parts) -> Option<&str> {
    if head.method != Method::POST || !is_grpc(&head.headers) {
        return None;
    }
    let path = head.uri.path();
    grpc::service_and_method(path).map(|_| path)
}

impl GrpcResult {
    /// Reads the result from the headers of a response without a body, or from trailers.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
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
    pub(super) fn outcome(&self) -> Outcome {
        match self.status {
            grpc::CANCELLED => Outcome::Cancelled,
            status if grpc::is_server_error(status) => Outcome::Failed,
            _ => Outcome::Completed,
        }
    }
}
