//! The [status codes](https://grpc.github.io/grpc/core/md_doc_statuscodes.html) and paths of gRPC.

pub(crate) const OK: u16 = 0;
pub(crate) const CANCELLED: u16 = 1;
pub(crate) const UNKNOWN: u16 = 2;
pub(crate) const UNIMPLEMENTED: u16 = 12;

/// The method that a request names, if it has the form of a gRPC call. Any client can send such a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GrpcMethod {
    /// The request is not a gRPC call.
    #[default]
    None,
    /// Only the client names the method.
    Claimed,
    /// The service has the method.
    Known,
}

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Returns the name of a status code, or `UNKNOWN` if it is not a known one.
pub(crate) fn status_name(status: u16) -> &'static str {
    NAMES.get(usize::from(status)).copied().unwrap_or("UNKNOWN")
}

/// Returns `true` for the codes that the
/// [OpenTelemetry conventions](https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#grpc-status) count as errors of a server.
pub(crate) fn is_server_error(status: u16) -> bool {
    matches!(
        status_name(status),
        "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS"
    )
}

/// Returns the service with its package, and the method, if the path is that of a gRPC call.
pub(crate) fn service_and_method(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is_name = |text: &str| !text.is_empty() && !text.contains('/');
    (is_name(service) && is_name(method)).then_some((service, method))
}

/// Returns the last part of a path, `/package.Service/Method`, without the prefix of a nested router.
pub(crate) fn method_path(path: &str) -> Option<&str> {
    let method_at = path.rfind('/')?;
    let service_at = path.get(..method_at)?.rfind('/')?;
    path.get(service_at..).filter(|path| service_and_method(path).is_some())
}

#[cfg(test)]
mod tests {
    use super::{is_server_error, method_path, service_and_method, status_name};

    #[test]
    fn six_codes_are_errors_of_a_server() {
        let errors: Vec<u16> = (0..18).filter(|status| is_server_error(*status)).collect();
        assert_eq!(errors, [2, 4, 12, 13, 14, 15, 17], "17 is not defined, so it is UNKNOWN");
        assert_eq!((status_name(0), status_name(16), status_name(u16::MAX)), ("OK", "UNAUTHENTICATED", "UNKNOWN"));
    }

    #[test]
    fn paths_have_a_service_and_a_method() {
        assert_eq!(service_and_method("/grpc.health.v1.Health/Check"), Some(("grpc.health.v1.Health", "Check")));
        for path in ["", "/", "//", "/a", "/a/", "//b", "/a/b/c", "a/b", "*"] {
            assert_eq!(service_and_method(path), None, "{path}");
        }
    }

    #[test]
    fn the_prefix_of_a_nested_router_is_not_part_of_a_method() {
        for path in ["/a.B/C", "/grpc/a.B/C", "/v1/grpc/a.B/C", "//a.B/C"] {
            assert_eq!(method_path(path), Some("/a.B/C"), "{path}");
        }
        for path in ["", "/", "//", "/a", "/a/", "//b", "a/b", "/a//b"] {
            assert_eq!(method_path(path), None, "{path}");
        }
    }
}
