//! Export over OTLP: exporters, TLS, and the environment variables that configure them.

mod certificates;
mod destination;
mod export_runtime;
mod grpc_exporter;
mod grpc_settings;
mod http_client;
mod on_runtime;
mod otlp_exporter;
mod otlp_protocol;
mod setting;
mod signal;
mod signal_exporter;

pub use self::{otlp_exporter::OtlpExporter, otlp_protocol::OtlpProtocol};
