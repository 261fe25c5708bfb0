//! Sends requests through a layer, and checks the reports of its sinks.

use std::{
    convert::Infallible,
    future,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    EventLayer, Sink, Tags,
    sink::{Queued, SinkReport},
};

/// Emits one event for each number, with the paths `/0`, `/1`, and so on.
pub(crate) fn emit(layer: &EventLayer, numbers: Range<usize>) {
    emit_tagged(layer, numbers, "");
}

/// Emits events with a value for the tag `tag`.
pub(crate) fn emit_tagged(layer: &EventLayer, numbers: Range<usize>, tag: &str) {
    emit_at("", layer, numbers, tag);
}

/// Emits events whose paths begin with a prefix.
pub(crate) fn emit_at(prefix: &str, layer: &EventLayer, numbers: Range<usize>, tag: &str) {
    let tag = tag.to_owned();
    let service = layer.layer(service_fn(move |request: Request<()>| {
        request.extensions().get::<Tags>().unwrap().insert("tag", &tag);
        future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    }));
    for number in numbers {
        let request = Request::get(format!("{prefix}/{number}")).body(()).unwrap();
        service.clone().oneshot(request).now_or_never().unwrap().unwrap();
    }
}

/// Returns the current report of a sink.
pub(crate) fn report(sink: &Queued) -> SinkReport {
    sink.delivery().report().sinks[0].clone()
}

/// Panics unless every accepted event is delivered, dropped, or in flight.
#[track_caller]
pub(crate) fn assert_balance(report: &SinkReport) {
    assert_eq!(report.accepted, report.delivered + report.dropped() + report.in_flight(), "{report}");
}

/// Blocks until a condition holds. Panics if it does not within 30 seconds.
#[track_caller]
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition does not hold after 30 seconds");
        thread::sleep(Duration::from_millis(1));
    }
}
