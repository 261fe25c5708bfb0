//! Batches of which a destination accepts only a part, such as the partial success of an OTLP collector.

mod common;
#[path = "common/otlp.rs"]
mod otlp;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::delivery::{assert_balance, emit, report, wait_until};
use otlp::{Partial, Receiver, Refusal};
use tower_tagging::{
    Event, EventLayer, Sink,
    otel::{Otel, OtlpExporter, OtlpProtocol},
    sink::{self, BatchWriter, DropReason, MockSink, Queued, RetryPolicy, SinkHealth, SinkReport, WriteError},
};

const PROTOCOLS: [OtlpProtocol; 2] = [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc];

/// Returns a layer that exports spans and log records to a collector.
fn layer(receiver: &Receiver, protocol: OtlpProtocol) -> EventLayer {
    let exporter = OtlpExporter::from_env().endpoint(receiver.url()).protocol(protocol).metrics(false).logs(true);
    let otel = Otel::builder().otlp(exporter).build().unwrap();
    EventLayer::new(sink::from_fn(|_| {})).otel(&otel)
}

/// Returns the reports of spans and log records.
fn reports(layer: &EventLayer) -> [SinkReport; 2] {
    let report = layer.delivery().report();
    ["otel spans", "otel logs"].map(|name| report.sink(name).unwrap().clone())
}

fn fates(report: &SinkReport) -> (u64, u64, u64) {
    assert_balance(report);
    (report.delivered, report.dropped_for(DropReason::Rejected), report.in_flight())
}

/// Exports five events to a collector with a partial success, and returns both reports.
fn exported(protocol: OtlpProtocol, partial: &Partial) -> [SinkReport; 2] {
    let receiver = Receiver::start();
    receiver.reject(Some(partial.clone()));
    let layer = layer(&receiver, protocol);
    emit(&layer, 0..5);
    let _ = layer.delivery().shutdown_blocking(Duration::from_secs(20));
    // None is sent again.
    receiver.with(|received| assert_eq!((received.spans.len(), received.logs.len()), (5, 5), "{partial:?}"));
    reports(&layer)
}

#[test]
fn counts_what_a_collector_rejects() {
    let partial = |rejected, message: &str| Partial { rejected, message: message.to_owned(), is_json: false };
    let long = "é".repeat(1000);
    // The response, the rejected events, and the error, with the part before the message.
    let cases = [
        (partial(0, ""), 0, None),
        (partial(1, "span 3 has no name"), 1, Some("the collector rejected 1 of the batch: span 3 has no name")),
        (partial(2, ""), 2, Some("the collector rejected 2 of the batch: no reason given")),
        (partial(5, "quota"), 5, Some("the collector rejected 5 of the batch: quota")),
        // More than were sent, and less than none.
        (partial(9, "quota"), 5, Some("the collector rejected 9 of the batch: quota")),
        (partial(i64::MAX, "quota"), 5, Some("quota")),
        (partial(-1, ""), 0, None),
        (partial(-1, "odd"), 0, Some("warning of the collector: odd")),
        (partial(0, "use another endpoint"), 0, Some("warning of the collector: use another endpoint")),
        (partial(1, "a\r\nb\u{1b}[31m"), 1, Some("the collector rejected 1 of the batch: ab[31m")),
        (partial(1, &long), 1, Some("the collector rejected 1 of the batch: ééé")),
    ];
    std::thread::scope(|scope| {
        for protocol in PROTOCOLS {
            for (partial, rejected, error) in &cases {
                let is_json = protocol == OtlpProtocol::HttpProtobuf;
                for is_json in [false, true].into_iter().take(1 + usize::from(is_json)) {
                    let partial = Partial { is_json, ..partial.clone() };
                    scope.spawn(move || {
                        for report in exported(protocol, &partial) {
                            assert_eq!(fates(&report), (5 - rejected, *rejected, 0), "{protocol:?} {partial:?}");
                            match (error, &report.last_error) {
                                (Some(expected), Some(found)) => {
                                    assert!(found.contains(expected), "{protocol:?}: {found}");
                                    assert!(found.chars().count() <= 256);
                                }
                                (expected, found) => assert_eq!(*expected, found.as_deref(), "{partial:?}"),
                            }
                        }
                    });
                }
            }
        }
    });
}

#[test]
fn each_batch_has_its_own_rejections() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start();
        let layer = layer(&receiver, protocol);
        let deliver = |numbers: std::ops::Range<usize>| {
            let settled = numbers.end as u64;
            emit(&layer, numbers);
            wait_until(|| reports(&layer).iter().all(|report| report.delivered + report.dropped() == settled));
        };
        receiver.reject(Some(Partial { rejected: 2, message: "quota".to_owned(), is_json: false }));
        deliver(0..3);
        receiver.reject(None);
        deliver(3..6);
        reports(&layer).iter().for_each(|report| assert_eq!(fates(report), (4, 2, 0), "{protocol:?}"));
        // A batch that is refused at first, and then accepted in part.
        receiver.reject(Some(Partial { rejected: 1, message: "quota".to_owned(), is_json: false }));
        receiver.refuse(Some(match protocol {
            OtlpProtocol::Grpc => Refusal::Grpc(14),
            _ => Refusal::Http(503),
        }));
        emit(&layer, 6..8);
        wait_until(|| reports(&layer).iter().all(|report| report.retried > 0));
        receiver.refuse(None);
        let report = layer.delivery().shutdown_blocking(Duration::from_secs(30));
        assert!(!report.is_complete());
        for report in reports(&layer) {
            assert_eq!(fates(&report), (5, 3, 0), "{protocol:?}: {report}");
            assert!(
                report.to_string().ends_with("last error: the collector rejected 1 of the batch: quota"),
                "{report}"
            );
        }
    }
}

/// A writer that returns the results of a list, and then `Ok`.
struct Script {
    results: Vec<WriteError>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

impl BatchWriter for Script {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.sizes.lock().unwrap().push(events.len());
        if self.results.is_empty() { Ok(()) } else { Err(self.results.remove(0)) }
    }
}

#[test]
fn a_writer_can_report_what_a_destination_rejected() {
    let partly = |events| WriteError::partly_rejected(events, "two are too old");
    // The results, the delivered and rejected events of 10, and the sizes of the batches.
    type Case = (Vec<WriteError>, (u64, u64, u64), Vec<usize>);
    let cases: [Case; 7] = [
        (vec![partly(3)], (7, 3, 0), vec![10]),
        (vec![partly(10)], (0, 10, 0), vec![10]),
        (vec![partly(11)], (0, 10, 0), vec![10]),
        (vec![partly(0)], (10, 0, 0), vec![10]),
        (vec![partly(3).after(4)], (7, 3, 0), vec![10]),
        // After a retry, and after a split.
        (vec![WriteError::retryable("away").after(2), partly(1)], (9, 1, 0), vec![10, 8]),
        (vec![WriteError::rejected("bad event"), partly(2), partly(1)], (7, 3, 0), vec![10, 5, 5]),
    ];
    for (results, expected, expected_sizes) in cases {
        let sizes = Arc::default();
        let name = format!("{results:?}");
        let dead = MockSink::new();
        let retry = RetryPolicy::new().min_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(4));
        let sink = Queued::builder("partly", Script { results, sizes: Arc::clone(&sizes) })
            .max_delay(Duration::from_secs(3600))
            .retry(retry)
            .dead_letters(dead.clone())
            .build();
        emit(&EventLayer::new(sink.clone()), 0..10);
        let _ = sink.delivery().shutdown_blocking(Duration::from_secs(20));
        assert_eq!(fates(&report(&sink)), expected, "{name}");
        assert_eq!(*sizes.lock().unwrap(), expected_sizes, "{name}");
        assert!(dead.events().is_empty(), "{name}: it is not known which events were rejected");
        assert!(report(&sink).last_error.unwrap().contains("two are too old"), "{name}");
    }
}

#[test]
fn a_destination_that_rejects_events_is_available() {
    let results = (0..20).map(|_| WriteError::partly_rejected(1, "too old")).collect();
    let sink = Queued::builder("partly", Script { results, sizes: Arc::default() }).max_batch(2).build();
    emit(&EventLayer::new(sink.clone()), 0..40);
    wait_until(|| report(&sink).in_flight() == 0);
    assert_eq!(report(&sink).health, SinkHealth::Healthy);
    assert_eq!(report(&sink).retried, 0);
}
