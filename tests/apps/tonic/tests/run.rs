//! Runs the example: a server and a client over HTTP/2 on the loopback interface.

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::oneshot};
use tonic::{
    Code,
    transport::{Channel, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::{HealthReporter, HealthService},
};
use tower_tagging::{Event, TaggingLayer, Tags, event::Outcome, sink::MockSink};
use tower_tagging_app_tonic::{client, server};

fn request(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

/// Waits until the sink has this many events: servers end requests in their own tasks.
async fn events(sink: &MockSink, count: usize) -> Vec<Arc<Event>> {
    let all = async {
        while sink.events().len() < count {
            tokio::task::yield_now().await;
        }
        sink.events()
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("every call has an event")
}

#[tokio::test]
async fn every_call_has_one_event_on_both_sides() {
    let reporter = HealthReporter::new();
    reporter.set_service_status("shop", ServingStatus::Serving).await;
    let (served, called) = (MockSink::new(), MockSink::new());
    let tagging = TaggingLayer::builder().sink(served.clone()).build().unwrap();
    let router = server(HealthService::from_health_reporter(reporter.clone()), tagging);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(router.serve_with_incoming_shutdown(TcpIncoming::from(listener), async {
        stopped.await.ok();
    }));

    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let tagging = TaggingLayer::client_builder().sink(called.clone()).build().unwrap();
    let mut observed: HealthClient<_> = client(channel.clone(), tagging);
    let mut plain = HealthClient::new(channel);
    let tags = Tags::new();
    let trace_id = tags.trace().trace_id().to_owned();
    tags.scope(async {
        let status = observed.check(request("shop")).await.unwrap().into_inner();
        assert_eq!(status, plain.check(request("shop")).await.unwrap().into_inner());
        let error = observed.check(request("missing")).await.unwrap_err();
        let expected = plain.check(request("missing")).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (expected.code(), expected.message()));
        assert_eq!(error.code(), Code::NotFound);
        // A stream of which the client reads one message.
        let mut watched = observed.watch(request("shop")).await.unwrap().into_inner();
        assert!(watched.message().await.unwrap().is_some());
        drop(watched);
    })
    .await;

    let path = "/grpc.health.v1.Health/Check";
    let watch = "/grpc.health.v1.Health/Watch";
    let called = events(&called, 3).await;
    let summary: Vec<_> =
        called.iter().map(|event| (event.route().unwrap(), event.grpc_status(), event.outcome())).collect();
    let expected =
        [(path, Some(0), Outcome::Completed), (path, Some(5), Outcome::Completed), (watch, None, Outcome::Cancelled)];
    assert_eq!(summary, expected);
    assert!(called[1].error().unwrap().starts_with("NOT_FOUND"));
    let served = events(&served, 5).await;
    for (call, event) in called.iter().zip([&served[0], &served[2], &served[4]]) {
        assert_eq!(call.trace().trace_id(), &trace_id);
        assert_eq!(event.trace().parent_span_id(), Some(call.trace().span_id().as_str()), "the service nests");
        assert_eq!(event.route(), call.route());
    }
    let statuses: Vec<_> = served.iter().map(|event| event.grpc_status()).collect();
    assert_eq!(statuses, [Some(0), Some(0), Some(5), Some(5), None]);
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

/// The type of the client can be kept in the state of an app.
#[test]
fn the_client_can_be_shared() {
    fn is_state<T: Clone + Send + Sync + 'static>() {}
    fn of<T: Clone + Send + Sync + 'static>(_: fn(Channel, TaggingLayer) -> HealthClient<T>) {
        is_state::<HealthClient<T>>();
    }
    of(client);
}
