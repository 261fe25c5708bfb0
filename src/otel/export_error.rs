use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::sink::{WriteError, WriteErrorKind};

use super::rejections::Rejections;

/// Converts the result of an export, and decides whether the batch is retried, split, or dropped.
pub(super) fn export_result(result: OTelSdkResult, rejections: &Rejections) -> Result<(), WriteError> {
    // Also discards what an attempt recorded that failed in the end.
    let partial_success = rejections.take();
    match result {
        Ok(()) => partial_success.map_or(Ok(()), Err),
        Err(error) => Err(match kind(&error) {
            WriteErrorKind::Rejected => WriteError::rejected(error),
            WriteErrorKind::Retryable => WriteError::retryable(error),
            _ => WriteError::new(error),
        }),
    }
}

/// Classifies an error by the [OTLP specification](https://opentelemetry.io/docs/specs/otlp/#failures).
///
/// A batch that the collector rejects because of its content or its size is split to find the events at fault.
///
/// The SDK reduces the response to text, so the code is parsed out of the text. `tests/otel.rs` drives every case through
/// the exporters, so that a new wording fails a test.
pub(super) fn kind(error: &OTelSdkError) -> WriteErrorKind {
    if matches!(error, OTelSdkError::AlreadyShutdown) {
        return WriteErrorKind::Final;
    }
    let text = error.to_string();
    if let Some(code) = text_after(&text, "gRPC code:") {
        return grpc_kind(code.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default());
    }
    let status = text_after(&text, "status code:").and_then(|status| status.get(..3)?.parse().ok());
    match status {
        Some(status) => http_kind(status),
        // The request was too large for the exporter itself.
        None if text.contains("exceeding the configured limit") => WriteErrorKind::Rejected,
        None => WriteErrorKind::Retryable,
    }
}

fn text_after<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    text.split_once(label).map(|(_, rest)| rest.trim_start())
}

fn grpc_kind(code: &str) -> WriteErrorKind {
    match code {
        // Servers report the last two for a message that is longer than they accept.
        "InvalidArgument" | "ResourceExhausted" | "OutOfRange" => WriteErrorKind::Rejected,
        "Unauthenticated" | "PermissionDenied" | "Unimplemented" | "NotFound" | "FailedPrecondition"
        | "AlreadyExists" => WriteErrorKind::Final,
        // A lost connection is reported as Internal or Unknown.
        _ => WriteErrorKind::Retryable,
    }
}

fn http_kind(status: u16) -> WriteErrorKind {
    match status {
        400 | 413 | 422 => WriteErrorKind::Rejected,
        408 | 429 | 502..=504 => WriteErrorKind::Retryable,
        400..=599 => WriteErrorKind::Final,
        _ => WriteErrorKind::Retryable,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::kind;
    use crate::sink::WriteErrorKind::{Final, Retryable};

    #[test]
    fn retries_errors_without_a_code() {
        assert_eq!(kind(&OTelSdkError::InternalFailure("HTTP export failed: network error".to_owned())), Retryable);
        assert_eq!(kind(&OTelSdkError::Timeout(std::time::Duration::from_secs(1))), Retryable);
    }

    #[test]
    fn does_not_retry_after_shutdown() {
        assert_eq!(kind(&OTelSdkError::AlreadyShutdown), Final);
    }
}
