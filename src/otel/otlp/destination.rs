use std::{fmt, sync::Arc};

use http::Uri;
use opentelemetry_sdk::error::OTelSdkError;

use super::otlp_protocol::OtlpProtocol;

/// The endpoint and the protocol of an exporter, for errors.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    endpoint: Arc<str>,
    protocol: OtlpProtocol,
}

impl Destination {
    /// Creates a destination whose endpoint is described without credentials.
    pub(super) fn new(protocol: OtlpProtocol, endpoint: &str) -> Self {
        Self { endpoint: without_credentials(endpoint).into(), protocol }
    }

    /// Warns if the port is the usual one of another protocol.
    pub(super) fn check_port(&self) {
        if let Some(hint) = self.hint() {
            tracing::warn!(
                target: "tower_tagging::otel",
                endpoint = &*self.endpoint,
                protocol = self.protocol.as_str(),
                hint,
                "the port of the OTLP endpoint does not fit the protocol"
            );
        }
    }

    /// Adds the endpoint, the protocol, and a hint to an error.
    pub(super) fn describe(&self, error: OTelSdkError) -> OTelSdkError {
        match error {
            OTelSdkError::InternalFailure(text) => OTelSdkError::InternalFailure(format!("{text} ({self})")),
            OTelSdkError::Timeout(time) => {
                OTelSdkError::InternalFailure(format!("no response from the collector within {time:?} ({self})"))
            }
            other @ OTelSdkError::AlreadyShutdown => other,
        }
    }

    /// Returns what to do if the port is the usual one of the other protocol.
    fn hint(&self) -> Option<String> {
        let other = match self.protocol {
            OtlpProtocol::Grpc => OtlpProtocol::HttpProtobuf,
            OtlpProtocol::HttpProtobuf => OtlpProtocol::Grpc,
        };
        let port = self.endpoint.parse::<Uri>().ok()?.port_u16()?;
        (port == other.default_port()).then(|| {
            format!(
                "port {port} is usually {other}: use OTEL_EXPORTER_OTLP_PROTOCOL={other}, or port {}",
                self.protocol.default_port(),
                other = other.as_str(),
            )
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OTLP over {} to {}", self.protocol.as_str(), self.endpoint)?;
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Removes the credentials and the query of a URL.
fn without_credentials(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::{Destination, OtlpProtocol};

    #[test]
    fn an_error_names_the_endpoint_and_the_protocol_and_hints_at_the_usual_port() {
        for (protocol, endpoint, expected) in [
            (
                OtlpProtocol::HttpProtobuf,
                "http://collector:4317",
                "OTLP over http/protobuf to http://collector:4317; port 4317 is usually grpc: use \
                 OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or port 4318",
            ),
            (
                OtlpProtocol::Grpc,
                "https://collector.example:4318/",
                "OTLP over grpc to https://collector.example:4318/; port 4318 is usually http/protobuf: use \
                 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or port 4317",
            ),
            (
                OtlpProtocol::Grpc,
                "http://[::1]:4318",
                "OTLP over grpc to http://[::1]:4318; port 4318 is usually http/protobuf: use \
                 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or port 4317",
            ),
            (OtlpProtocol::HttpProtobuf, "http://collector:4318", "OTLP over http/protobuf to http://collector:4318"),
            (OtlpProtocol::Grpc, "http://collector:4317", "OTLP over grpc to http://collector:4317"),
            (OtlpProtocol::Grpc, "http://collector", "OTLP over grpc to http://collector"),
            (
                OtlpProtocol::HttpProtobuf,
                "https://user:secret@otlp.example/v1/traces?token=secret",
                "OTLP over http/protobuf to https://otlp.example/v1/traces",
            ),
        ] {
            let destination = Destination::new(protocol, endpoint);
            let error = destination.describe(OTelSdkError::InternalFailure("network error".to_owned()));
            assert_eq!(error.to_string(), format!("Operation failed: network error ({expected})"));
        }
    }
}
