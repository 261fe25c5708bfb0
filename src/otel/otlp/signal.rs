use crate::otel::{environment, otel_error::OtelError};

use super::{otlp_protocol::OtlpProtocol, setting::Setting};

/// A kind of telemetry, which has its own variables.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// Returns the word in the names of the signal's variables.
    fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// Returns the path of the signal, relative to the endpoint.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    /// Reads `OTEL_<SIGNAL>_EXPORTER`. By default, all signals but logs are exported.
    ///
    /// # Errors
    /// Returns an error for an exporter that is not supported.
    pub(super) fn is_enabled(self) -> Result<bool, OtelError> {
        let variable = format!("OTEL_{}_EXPORTER", self.word());
        let Some(value) = environment::variable(&variable) else { return Ok(!matches!(self, Self::Logs)) };
        match value.as_str() {
            "otlp" => Ok(true),
            "none" => Ok(false),
            _ => Err(Setting { variable, value }.invalid("expected \"otlp\" or \"none\"")),
        }
    }

    /// Reads the protocol of the signal. The default is HTTP with protobuf.
    ///
    /// # Errors
    /// Returns an error for a protocol that is not supported.
    pub(super) fn protocol(self) -> Result<OtlpProtocol, OtelError> {
        let Some(protocol) = self.setting("PROTOCOL") else { return Ok(OtlpProtocol::HttpProtobuf) };
        match protocol.value.as_str() {
            "grpc" => Ok(OtlpProtocol::Grpc),
            "http/protobuf" => Ok(OtlpProtocol::HttpProtobuf),
            _ => Err(protocol.invalid("expected \"grpc\" or \"http/protobuf\"")),
        }
    }

    /// Checks the compression, because the exporters ignore invalid values.
    ///
    /// # Errors
    /// Returns an error for a compression that is not supported.
    pub(super) fn check_compression(self) -> Result<(), OtelError> {
        match self.setting("COMPRESSION") {
            Some(name) if !["gzip", "none"].iter().any(|known| name.value.eq_ignore_ascii_case(known)) => {
                Err(name.invalid("expected \"gzip\" or \"none\""))
            }
            _ => Ok(()),
        }
    }

    /// Reads the timeout of an export, in milliseconds. The default is 10 seconds.
    ///
    /// # Errors
    /// Returns an error for a value that is not a number.
    pub(super) fn timeout(self) -> Result<u64, OtelError> {
        self.setting("TIMEOUT").map_or(Ok(10_000), |millis| {
            millis.value.parse().map_err(|_| millis.invalid("expected a number of milliseconds"))
        })
    }

    /// Reads the variable `OTEL_EXPORTER_OTLP_<SIGNAL>_<name>`, or else `OTEL_EXPORTER_OTLP_<name>`.
    pub(super) fn setting(self, name: &str) -> Option<Setting> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", self.word());
        [own, format!("OTEL_EXPORTER_OTLP_{name}")].into_iter().find_map(|variable| {
            let value = environment::variable(&variable)?;
            Some(Setting { variable, value })
        })
    }
}
