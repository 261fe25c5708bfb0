/// Transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// gRPC. The default endpoint is `http://localhost:4317`.
    Grpc,
    /// HTTP with protobuf. The default endpoint is `http://localhost:4318`.
    HttpProtobuf,
}

impl OtlpProtocol {
    /// Returns the name in `OTEL_EXPORTER_OTLP_PROTOCOL`: `grpc` or `http/protobuf`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }

    /// Returns the port on which collectors accept the protocol, unless configured otherwise.
    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Grpc => 4317,
            Self::HttpProtobuf => 4318,
        }
    }
}
