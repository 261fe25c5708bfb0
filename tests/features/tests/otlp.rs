//! The feature `otlp`, without a collector or a runtime.

use std::{net::TcpListener, time::Duration};

use tower_tagging::otel::{Otel, OtlpExporter, OtlpProtocol};
use tower_tagging_feature_tests::{request, serve, tagging};

#[test]
fn spans_are_counted_without_a_collector() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        let exporter = OtlpExporter::from_env().endpoint(format!("http://{free}")).protocol(protocol);
        let otel = Otel::builder().otlp(exporter).build().unwrap();
        let layer = tagging().otel(&otel).build().unwrap();
        let response = serve(&layer, request());
        assert!(response.headers().contains_key("x-portkey-trace-id"));
        let report = layer.delivery().shutdown_blocking(Duration::from_millis(500));
        let spans = report.sink("otel spans").unwrap();
        assert_eq!((spans.accepted, spans.delivered), (1, 0), "{protocol:?}: {report}");
    }
}
