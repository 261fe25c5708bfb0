/// Transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// gRPC. The default endpoint is `http://localhost:4317`.
    Grpc,
    /// HTTP with protobuf. The default endpoint is `http://localhost:4318`.
    HttpProtobuf,
}
