use std::time::Duration;

use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use percent_encoding::percent_decode_str;
use tonic::{
    Request,
    codec::CompressionEncoding,
    metadata::{MetadataKey, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::otel::otel_error::OtelError;

use super::{certificates::Certificates, setting::Setting, signal::Signal};

const USER_AGENT: &str = concat!("tower-tagging/", env!("CARGO_PKG_VERSION"));

/// The connection of an exporter over gRPC, and what it sends with each request.
#[derive(Debug)]
pub(super) struct GrpcSettings {
    pub(super) channel: Channel,
    pub(super) compression: Option<CompressionEncoding>,
    metadata: Metadata,
}

/// Headers, which may contain secrets and are never printed.
struct Metadata(MetadataMap);

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.as_ref().keys()).finish()
    }
}

impl GrpcSettings {
    /// Reads the variables of the signal, except for its endpoint. Connects when the first request is sent.
    ///
    /// # Errors
    /// Returns an error for an invalid endpoint, timeout, or certificate.
    pub(super) fn from_env(signal: Signal, endpoint: &Setting) -> Result<Self, OtelError> {
        let timeout = Duration::from_millis(signal.timeout()?);
        let tls = Certificates::from_env(signal)?.for_grpc();
        let endpoint = endpoint_of(signal, endpoint)?.timeout(timeout);
        let invalid = |error: tonic::transport::Error| OtelError::new(format!("invalid gRPC settings: {error}"));
        let endpoint =
            endpoint.user_agent(USER_AGENT).and_then(|endpoint| endpoint.tls_config(tls)).map_err(invalid)?;
        let is_gzip = signal.setting("COMPRESSION").is_some_and(|name| name.value.eq_ignore_ascii_case("gzip"));
        Ok(Self {
            channel: endpoint.connect_lazy(),
            compression: is_gzip.then_some(CompressionEncoding::Gzip),
            metadata: Metadata(signal.setting("HEADERS").map_or_else(MetadataMap::new, |list| metadata(&list.value))),
        })
    }

    pub(super) fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.0.clone();
        request
    }
}

/// Returns the endpoint. One without a scheme uses TLS, unless `OTEL_EXPORTER_OTLP_INSECURE` is true:
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.
fn endpoint_of(signal: Signal, setting: &Setting) -> Result<Endpoint, OtelError> {
    let has_scheme = setting.value.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']));
    let is_insecure = || signal.setting("INSECURE").is_some_and(|flag| flag.value.eq_ignore_ascii_case("true"));
    let url = match has_scheme {
        true => setting.value.clone(),
        false if is_insecure() => format!("http://{}", setting.value),
        false => format!("https://{}", setting.value),
    };
    Endpoint::from_shared(url).map_err(|_| setting.invalid("expected a URL such as \"http://localhost:4317\""))
}

/// Reads headers such as `name=value,other=percent%20encoded`. As the specification has it, invalid ones are ignored.
fn metadata(list: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for (name, value) in list.split(',').filter_map(|header| header.split_once('=')) {
        let value = percent_decode_str(value.trim()).decode_utf8().ok();
        let key = MetadataKey::from_bytes(name.trim().as_bytes()).ok();
        if let (Some(key), Some(value)) = (key, value.and_then(|value| MetadataValue::try_from(&*value).ok())) {
            metadata.append(key, value);
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::metadata;

    #[test]
    fn reads_headers_and_ignores_invalid_ones() {
        let metadata =
            metadata("api-key=secret%20key, X-Tenant = acme ,,broken,=x,bad name=x,latin=%FF,empty=,twice=1,twice=2");
        let read = |name: &str| -> Vec<String> {
            metadata.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(read("api-key"), ["secret key"]);
        assert_eq!(read("x-tenant"), ["acme"]);
        assert_eq!((read("empty"), read("twice")), (vec![String::new()], vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(metadata.len(), 5);
    }
}
