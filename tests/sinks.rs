//! Tests of sinks and of the counts that they report.

mod common;

use std::{
    convert::Infallible,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{
    Log, TempFolder,
    delivery::{assert_balance, emit, emit_tagged, wait_until},
};
use http::{Request, Response};
use serde_json::Value;
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, Sink, TaggingLayer, Tags,
    event::{Clock, ManualClock},
    sink::{
        self, BatchWriter, ChannelSink, Counts, Delivery, DeliverySource, DropReason, Fanout, Filter, JsonLinesSink,
        JsonLinesWriter, MockSink, Queued, SinkReport, TracingSink, WriteError,
    },
    tagging::RequestBody,
    trace::SequentialIds,
    usage::{Usage, UsageTap},
};

/// A tag that is hard to encode: a control character, quotes, a line separator, and letters beyond Latin-1.
const HOSTILE: &str = "a\n\"b\"\u{2028}東京";

/// A gate that blocks a writer until the test opens it.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
    }
}

struct Gated {
    gate: Gate,
    written: Arc<Mutex<Vec<String>>>,
}

impl BatchWriter for Gated {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.gate.pass();
        self.written.lock().unwrap().extend(events.iter().map(|event| event.path().to_owned()));
        Ok(())
    }
}

fn gated() -> (Gate, Arc<Mutex<Vec<String>>>, Gated) {
    let (gate, written) = (Gate::default(), Arc::default());
    (gate.clone(), Arc::clone(&written), Gated { gate, written })
}

#[test]
fn a_full_queue_drops_new_events_and_notifies_the_observer() {
    let (gate, written, writer) = gated();
    let notifications = Arc::new(Mutex::new(Vec::new()));
    let observed = Arc::clone(&notifications);
    let sink = Queued::builder("gated", writer)
        .capacity(10)
        .max_batch(1)
        .on_queue_full(move |full| observed.lock().unwrap().push((full.sink.to_owned(), full.dropped)))
        .build();
    let layer = EventLayer::new(sink.clone());
    // The writer holds the first event, so the queue is empty.
    emit(&layer, 0..1);
    wait_until(|| sink.delivery().report().sinks[0].in_flight() == 1 && is_taken(&sink));
    emit(&layer, 0..25);
    let report = sink.delivery().report();
    let report = report.sink("gated").unwrap();
    assert_balance(report);
    assert_eq!((report.accepted, report.delivered, report.in_flight()), (26, 0, 11));
    assert_eq!(report.dropped_for(DropReason::QueueFull), 15);
    // The observer is notified at most once a minute.
    assert_eq!(*notifications.lock().unwrap(), [("gated".to_owned(), 1)]);
    gate.open();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_eq!(report.sinks[0].delivered, 11);
    let total: u64 = notifications.lock().unwrap().iter().map(|(_, dropped)| dropped).sum();
    assert_eq!(total, 15, "the observer is notified of the rest at the end");
    assert_eq!(written.lock().unwrap().as_slice(), ["/0", "/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"]);
}

/// Returns `true` if the writer holds the only event.
fn is_taken(sink: &Queued) -> bool {
    // The length of the queue is not public. After this delay, the writer holds the event.
    thread::sleep(Duration::from_millis(100));
    sink.delivery().report().sinks[0].in_flight() == 1
}

#[test]
fn a_full_queue_can_drop_the_oldest_events() {
    let (gate, written, writer) = gated();
    let sink = Queued::builder("gated", writer).capacity(3).max_batch(1).drop_oldest().build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..1);
    wait_until(|| is_taken(&sink));
    emit(&layer, 0..10);
    gate.open();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_balance(&report.sinks[0]);
    assert_eq!(report.sinks[0].dropped_for(DropReason::QueueFull), 7);
    assert_eq!(written.lock().unwrap().as_slice(), ["/0", "/7", "/8", "/9"]);
}

#[test]
fn shutdown_reports_what_is_left_at_the_deadline() {
    let (gate, _, writer) = gated();
    let sink = Queued::builder("gated", writer).max_batch(4).build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..10);
    let start = Instant::now();
    let report = sink.delivery().shutdown_blocking(Duration::from_millis(50));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(!report.is_complete());
    assert_eq!((report.sinks[0].delivered, report.sinks[0].in_flight()), (0, 10));
    // Later events are dropped and counted.
    emit(&layer, 0..2);
    assert_eq!(sink.delivery().report().sinks[0].dropped_for(DropReason::Closed), 2);
    gate.open();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_balance(&report.sinks[0]);
    assert_eq!((report.sinks[0].delivered, report.sinks[0].in_flight()), (10, 0));
}

#[test]
fn counts_events_of_writers_that_fail_or_panic() {
    struct Flaky(usize);

    impl BatchWriter for Flaky {
        fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
            self.0 += 1;
            if self.0 == 1 {
                return Err(WriteError::new("disk gone").after(events.len() / 2));
            }
            assert!(self.0 < 2 || events.iter().all(|event| event.path() != "/3"), "the writer panics");
            Ok(())
        }
    }

    let sink = Queued::builder("flaky", Flaky(0)).max_batch(10).max_delay(Duration::from_secs(60)).build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..10);
    wait_until(|| sink.delivery().report().sinks[0].in_flight() == 0);
    emit(&layer, 0..10);
    wait_until(|| sink.delivery().report().sinks[0].in_flight() == 0);
    emit(&layer, 0..10);
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    let report = &report.sinks[0];
    assert_balance(report);
    assert_eq!(report.delivered, 23);
    assert_eq!(report.dropped_for(DropReason::WriteFailed), 5);
    // One event of each batch is dropped. The others are written without it.
    assert_eq!(report.dropped_for(DropReason::Panicked), 2);
    assert_eq!(
        report.to_string(),
        "flaky: 30 accepted, 23 delivered, 5 dropped (write_failed), 2 dropped (panicked), 0 in flight, \
         last error: the writer panicked"
    );
}

#[test]
fn shutdown_completes_even_if_the_writer_panics_when_dropped() {
    struct PanicsOnDrop;

    impl BatchWriter for PanicsOnDrop {
        fn write(&mut self, _: &[Arc<Event>]) -> Result<(), WriteError> {
            Ok(())
        }
    }

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("the writer panics when dropped");
        }
    }

    // No clock can express this delay, so only full batches and the shutdown count.
    let sink = Queued::builder("forever", PanicsOnDrop).max_delay(Duration::MAX).build();
    emit(&EventLayer::new(sink.clone()), 0..3);
    let start = Instant::now();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(60));
    assert!(report.is_complete(), "{report}");
    assert!(start.elapsed() < Duration::from_secs(30), "shutdown waited for the deadline");
}

#[test]
fn json_lines_that_cannot_be_flushed_are_not_delivered() {
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let layer = EventLayer::new(JsonLinesSink::writer(io::BufWriter::with_capacity(1 << 20, Full)));
    emit(&layer, 0..3);
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_eq!(report.sink("jsonl").unwrap().dropped_for(DropReason::WriteFailed), 3, "{report}");
}

#[test]
fn json_lines_are_written_in_batches_of_64() {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<usize>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.split_inclusive(|byte| *byte == b'\n').count());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let sink = JsonLinesWriter::new(lines.clone()).queued().max_delay(Duration::from_secs(60)).build();
    let layer = EventLayer::new(sink);
    emit(&layer, 0..150);
    assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    assert_eq!(*lines.0.lock().unwrap(), [64, 64, 22]);
}

#[test]
fn a_batch_is_written_when_it_is_full_or_old_enough() {
    struct Sizes(Arc<Mutex<Vec<usize>>>);

    impl BatchWriter for Sizes {
        fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
            self.0.lock().unwrap().push(events.len());
            Ok(())
        }
    }

    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let by_size = Queued::builder("sizes", Sizes(Arc::clone(&sizes)));
    let by_size = by_size.max_batch(5).max_delay(Duration::from_secs(3600)).build();
    let layer = EventLayer::new(by_size.clone());
    emit(&layer, 0..5);
    wait_until(|| sizes.lock().unwrap().len() == 1);
    emit(&layer, 0..5);
    wait_until(|| sizes.lock().unwrap().len() == 2);
    assert_eq!(*sizes.lock().unwrap(), [5, 5]);

    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let by_time = Queued::builder("sizes", Sizes(Arc::clone(&sizes)));
    let by_time = by_time.max_batch(1000).max_delay(Duration::from_millis(20)).build();
    emit(&EventLayer::new(by_time.clone()), 0..3);
    wait_until(|| sizes.lock().unwrap().iter().sum::<usize>() == 3);
}

#[test]
fn counts_are_balanced_at_any_time_under_load() {
    let written = Arc::new(AtomicUsize::new(0));

    struct Count(Arc<AtomicUsize>);

    impl BatchWriter for Count {
        fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
            self.0.fetch_add(events.len(), Ordering::Relaxed);
            Ok(())
        }
    }

    let sink = Queued::builder("count", Count(Arc::clone(&written))).capacity(64).build();
    let delivery = sink.delivery();
    let layer = EventLayer::new(sink);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| emit(&layer, 0..10_000));
        }
        for _ in 0..1000 {
            assert_balance(&delivery.report().sinks[0]);
        }
    });
    // The last sink is dropped without a shutdown. The thread writes what is left and ends.
    drop(layer);
    wait_until(|| delivery.report().sinks[0].in_flight() == 0);
    let report = delivery.report();
    assert_eq!(report.sinks[0].accepted, 40_000);
    assert_eq!(report.sinks[0].delivered, written.load(Ordering::Relaxed) as u64);
    assert_balance(&report.sinks[0]);
}

#[test]
fn shutdown_under_load_accounts_for_every_event() {
    for _ in 0..20 {
        let (gate, written, writer) = gated();
        gate.open();
        let sink = Queued::builder("gated", writer).max_delay(Duration::ZERO).build();
        let delivery = sink.delivery();
        let layer = EventLayer::new(sink);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| emit(&layer, 0..300));
            }
            thread::sleep(Duration::from_millis(2));
            assert_balance(&delivery.shutdown_blocking(Duration::from_secs(10)).sinks[0]);
        });
        let report = delivery.report();
        let report = &report.sinks[0];
        assert_eq!((report.accepted, report.in_flight()), (600, 0), "{report}");
        assert_eq!(report.delivered, written.lock().unwrap().len() as u64);
    }
}

#[test]
fn panics_of_sinks_do_not_reach_the_request() {
    let mock = MockSink::new();
    let sinks = Fanout::new()
        .with(sink::from_fn(|_| panic!("the sink panics")))
        .with(Filter::new(|event: &Event| event.path() != "/1", mock.clone()))
        .with(Filter::new(|_: &Event| panic!("the filter panics"), MockSink::new()));
    let layer = EventLayer::new(sinks);
    let delivery = layer.delivery();
    emit(&layer, 0..3);
    assert_eq!(mock.events().len(), 2);
    let report = delivery.shutdown_blocking(Duration::ZERO);
    report.sinks.iter().for_each(assert_balance);
    assert_eq!(report.sink("closure").unwrap().dropped_for(DropReason::Panicked), 3);
    assert_eq!(report.sink("mock").unwrap().delivered, 2, "{report}");
    let panicked: u64 = report.sinks.iter().map(|sink| sink.dropped_for(DropReason::Panicked)).sum();
    assert_eq!(panicked, 6, "panics of the filter are counted too: {report}");
    emit(&layer, 0..1);
    assert_eq!(layer.delivery().report().sink("closure").unwrap().dropped_for(DropReason::Closed), 1);
}

#[test]
fn a_builder_accepts_sinks_of_any_kind() {
    let mocks = [MockSink::new(), MockSink::new(), MockSink::new(), MockSink::new()];
    let boxed: Box<dyn Sink> = Box::new(mocks[1].clone());
    let shared: Arc<dyn Sink> = Arc::new(mocks[2].clone());
    let events = EventLayer::new(mocks[0].clone()).clock(ManualClock::new());
    let concrete = Arc::new(mocks[3].clone());
    let builder =
        TaggingLayer::builder().events(events).sink(boxed).sink(concrete).sink(None::<MockSink>).sink(Some(shared));
    let layer = builder.build().unwrap();
    let service = layer
        .layer(service_fn(async |_: Request<RequestBody<String>>| Ok::<_, Infallible>(Response::new(String::new()))));
    futures_util::FutureExt::now_or_never(service.oneshot(Request::new(String::new()))).unwrap().unwrap();
    for mock in &mocks {
        assert_eq!(mock.single().time(), ManualClock::new().now());
    }
    let report = layer.delivery().shutdown_blocking(Duration::ZERO);
    let delivered: Vec<_> = report.sinks.iter().map(|sink| (sink.name.as_str(), sink.delivered)).collect();
    assert_eq!(delivered.iter().filter(|(name, _)| *name == "mock").count(), 4, "{delivered:?}");
    assert!(report.is_complete(), "{report}");
    // Without a sink, nothing would receive the usage.
    let usage = || TaggingLayer::builder().usage(UsageTap::new());
    let error = usage().build().unwrap_err();
    assert!(error.to_string().contains("nothing consumes its results"), "{error}");
    assert!(usage().sink(MockSink::new()).build().is_ok());
    assert!(TaggingLayer::builder().usage(UsageTap::new().roll_up()).build().is_ok());
}

#[tokio::test]
async fn a_channel_counts_events_that_it_accepts() {
    let (sink, mut events) = ChannelSink::new(2);
    let layer = EventLayer::new(sink);
    emit(&layer, 0..3);
    assert_eq!(events.recv().await.unwrap().path(), "/0");
    drop(events);
    emit(&layer, 0..1);
    let report = layer.delivery().report();
    let report = report.sink("channel").unwrap();
    assert_balance(report);
    assert_eq!((report.accepted, report.delivered), (4, 2));
    assert_eq!((report.dropped_for(DropReason::QueueFull), report.dropped_for(DropReason::Closed)), (1, 1));
}

#[test]
fn json_lines_are_appended_to_a_file() {
    let folder = TempFolder::new("jsonl");
    let path = folder.file("events.jsonl");
    for _ in 0..2 {
        let layer = EventLayer::new(JsonLinesSink::file(&path).unwrap());
        emit_tagged(&layer, 0..1000, HOSTILE);
        assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().for_each(common::assert_schema);
    let paths: Vec<_> = lines.iter().map(|line| line["request"]["path"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = (0..1000).chain(0..1000).map(|number| format!("/{number}")).collect();
    assert_eq!(paths, expected);
    assert_eq!(lines[0]["metadata"]["tag"], "a\"b\"\u{2028}東京", "control characters are removed");
}

#[test]
fn json_lines_start_after_the_torn_line_of_a_killed_process() {
    let folder = TempFolder::new("torn-line");
    let path = folder.file("events.jsonl");
    std::fs::write(&path, "{\"torn").unwrap();
    let layer = EventLayer::new(JsonLinesSink::file(&path).unwrap());
    emit(&layer, 0..1);
    assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "{\"torn"));
    common::assert_schema(&serde_json::from_str(lines[1]).unwrap());
}

#[test]
fn json_lines_survive_a_write_error_within_a_line() {
    #[derive(Clone, Default)]
    struct Flaky(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Flaky {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.lock().unwrap();
            state.0 += 1;
            match state.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                // A line and a half.
                2 => {
                    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                    state.1.extend(&bytes[..line + 100]);
                    Ok(line + 100)
                }
                3 => Err(io::ErrorKind::StorageFull.into()),
                _ => {
                    state.1.extend(bytes);
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let flaky = Flaky::default();
    let sink = JsonLinesWriter::new(flaky.clone()).queued().max_batch(3).max_delay(Duration::from_secs(60)).build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..3);
    wait_until(|| sink.delivery().report().sinks[0].in_flight() == 0);
    emit(&layer, 0..3);
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
    let report = report.sink("jsonl").unwrap();
    assert_balance(report);
    // The disk was full only for a moment.
    assert_eq!((report.delivered, report.retried), (6, 2));
    let text = String::from_utf8(flaky.0.lock().unwrap().1.clone()).unwrap();
    let whole = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert_eq!((whole, text.lines().count()), (6, 7), "{text}");
}

#[test]
fn tracing_events_and_the_request_span_have_the_fields_of_the_event() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter("info,billing=debug")
        .with_writer(move || writer.clone())
        .finish();
    let lines = || -> Vec<Value> { log.take().lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    tracing::subscriber::with_default(subscriber, || {
        emit_tagged(&EventLayer::new(TracingSink::new()), 0..1, HOSTILE);
        let line = lines().remove(0);
        assert_eq!((line["level"].as_str(), line["target"].as_str()), (Some("INFO"), Some("tower_tagging::event")));
        let fields = &line["fields"];
        assert_eq!((fields["request_path"].as_str(), fields["status_code"].as_u64()), (Some("/0"), Some(200)));
        assert_eq!(fields["outcome"], "completed");
        assert_eq!(fields["message"], "GET /0 completed");
        let tags: Value = serde_json::from_str(fields["raw_metadata"].as_str().unwrap()).unwrap();
        assert_eq!(tags["tag"], "a\"b\"\u{2028}東京");
        assert!(fields["diagnostics"].as_str().unwrap().contains("control_removed"));
        assert!(fields.get("route").is_none() && fields.get("error_message").is_none());

        // The usage of an LLM call.
        let service = EventLayer::new(TracingSink::new()).usage(UsageTap::new()).layer(service_fn(
            async |request: Request<()>| {
                let tags = request.extensions().get::<Tags>().unwrap();
                tags.record_usage(Usage::tokens(1_000, 100).of("openai", "gpt-4o"));
                Ok::<_, Infallible>(Response::new(String::new()))
            },
        ));
        futures_util::FutureExt::now_or_never(service.oneshot(Request::new(()))).unwrap().unwrap();
        let fields = &lines()[0]["fields"];
        assert_eq!((&fields["provider"], &fields["model"]), (&"openai".into(), &"gpt-4o".into()));
        assert_eq!((&fields["input_tokens"], &fields["total_cost"]), (&1000.into(), &0.0035.into()));

        // Filters apply to the target and the level.
        emit(&EventLayer::new(TracingSink::new().target("billing").level(tracing::Level::DEBUG)), 0..1);
        assert_eq!(lines()[0]["target"], "billing");
        emit(&EventLayer::new(TracingSink::new().target("other").level(tracing::Level::DEBUG)), 0..1);
        assert!(lines().is_empty());

        // Log lines of the app have the request's span, in the service and in the body.
        let mock = MockSink::new();
        let layer = EventLayer::new(mock.clone()).span(tracing::Level::INFO).ids(SequentialIds::new());
        let service = layer.layer(service_fn(async |_: Request<()>| {
            tracing::info!("in the service");
            let body = futures_util::stream::once(async {
                tracing::info!("in the body");
                Ok::<_, Infallible>(hyper::body::Frame::data(hyper::body::Bytes::from("x")))
            });
            Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(Box::pin(body))))
        }));
        let response = service.oneshot(Request::get("/spanned").body(()).unwrap());
        let response = futures_util::FutureExt::now_or_never(response).unwrap().unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body());
        futures_util::FutureExt::now_or_never(body).unwrap().unwrap();
        tracing::info!("outside");
        let lines = lines();
        let trace_id = mock.single().trace().trace_id().to_owned();
        for line in &lines[..2] {
            assert_eq!(line["span"]["trace_id"].as_str(), Some(trace_id.as_str()), "{line}");
            assert_eq!(line["span"]["path"], "/spanned");
        }
        assert!(lines[2].get("span").is_none());
    });
}

#[test]
fn events_are_reproducible_with_a_manual_clock_and_sequential_ids() {
    let run = || {
        let mock = MockSink::new();
        let layer = EventLayer::new(mock.clone()).clock(ManualClock::new()).ids(SequentialIds::new());
        emit(&layer, 0..2);
        mock.events().iter().map(|event| common::json(event)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
    assert_eq!(run()[1]["id"], "00000000-0000-7000-8000-000000000004");
}

#[test]
#[should_panic(
    expected = "expected exactly 1 event, found 2:\n  GET /0 -> 200, completed, metadata: {\"tag\": \"\"}\n  GET /1"
)]
fn mock_lists_all_events_when_an_assertion_fails() {
    let mock = MockSink::new();
    emit(&EventLayer::new(mock.clone()), 0..2);
    assert_eq!(mock.find(|event| event.path() == "/1").path(), "/1");
    mock.single();
}

#[tokio::test(start_paused = true)]
async fn mock_waits_with_a_paused_clock() {
    let mock = MockSink::new();
    let layer = EventLayer::new(mock.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        emit(&layer, 0..1);
    });
    assert_eq!(mock.wait_for(1).await.len(), 1);
}

#[test]
fn joined_deliveries_report_all_sinks() {
    let (first, second) = (Queued::new("first", Nothing), Queued::new("second", Nothing));
    let report = Delivery::join([first.delivery(), second.delivery()]).shutdown_blocking(Duration::from_secs(10));
    let names: Vec<_> = report.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(report.is_complete());
}

struct Nothing;

impl BatchWriter for Nothing {
    fn write(&mut self, _: &[Arc<Event>]) -> Result<(), WriteError> {
        Ok(())
    }
}

#[test]
fn an_unusable_file_is_reported_with_its_path_and_the_operation() {
    let folder = TempFolder::new("unusable");
    let path = folder.file("none/such.jsonl");
    let error = JsonLinesSink::file(&path).unwrap_err();
    assert_eq!((error.path(), error.kind()), (path.as_path(), io::ErrorKind::NotFound));
    assert!(error.to_string().starts_with(&format!("cannot open for appending {}: ", path.display())), "{error}");
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
}

/// A sink as another crate would implement it, with an `async` task that delivers the events.
struct Foreign {
    sender: mpsc::UnboundedSender<Arc<Event>>,
    state: Arc<ForeignState>,
}

#[derive(Default)]
struct ForeignState {
    counts: Counts,
    is_closed: AtomicBool,
}

impl Foreign {
    /// Starts a task that takes some time for each event, and rejects `/3`.
    fn spawn() -> Self {
        let (sender, mut events) = mpsc::unbounded_channel::<Arc<Event>>();
        let state = Arc::new(ForeignState::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
                match event.path() {
                    "/3" => shared.counts.drop_for(DropReason::Rejected, 1),
                    _ => shared.counts.deliver(1),
                }
            }
        });
        Self { sender, state }
    }
}

impl Sink for Foreign {
    fn emit(&self, event: Arc<Event>) {
        self.state.counts.accept();
        if self.state.is_closed.load(Ordering::SeqCst) || self.sender.send(event).is_err() {
            self.state.counts.drop_for(DropReason::Closed, 1);
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery::from(Arc::clone(&self.state))
    }
}

impl DeliverySource for ForeignState {
    fn report(&self) -> Option<SinkReport> {
        Some(self.counts.report("foreign"))
    }

    fn close(&self, _deadline: Instant) {
        self.is_closed.store(true, Ordering::SeqCst);
    }
}

/// Runs on one thread, so a shutdown that blocks it would keep the task from delivering.
#[tokio::test]
async fn a_foreign_sink_participates_in_reports_and_shutdown() {
    let mock = MockSink::new();
    let layer = EventLayer::new(Fanout::new().with(Foreign::spawn()).with(mock.clone()));
    let delivery = layer.delivery();
    emit(&layer, 0..5);
    let report = delivery.report();
    assert_eq!((report.sinks.len(), report.sink("foreign").unwrap().in_flight()), (2, 5), "{report}");
    let report = delivery.shutdown(Duration::from_secs(20)).await;
    let foreign = report.sink("foreign").unwrap();
    assert_balance(foreign);
    assert_eq!((foreign.delivered, foreign.dropped_for(DropReason::Rejected), foreign.in_flight()), (4, 1, 0));
    assert_eq!(report.sink("mock").unwrap().delivered, 5, "{report}");
    emit(&layer, 0..1);
    assert_eq!(delivery.report().sink("foreign").unwrap().dropped_for(DropReason::Closed), 1);
}

#[tokio::test]
async fn shutdown_keeps_its_timeout_without_blocking_the_runtime() {
    let (gate, _, writer) = gated();
    let sink = Queued::new("gated", writer);
    emit(&EventLayer::new(sink.clone()), 0..3);
    let (delivery, ticks) = (sink.delivery(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&ticks);
    let ticker = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let start = Instant::now();
    let report = delivery.shutdown(Duration::from_millis(200)).await;
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(report.sinks[0].in_flight(), 3, "{report}");
    assert!(ticks.load(Ordering::Relaxed) > 10, "other tasks made progress");
    ticker.abort();
    // A shutdown that is dropped early does not keep the sink from delivering.
    let abandoned = tokio::time::timeout(Duration::from_millis(10), delivery.shutdown(Duration::from_secs(20))).await;
    assert!(abandoned.is_err());
    gate.open();
    assert!(delivery.shutdown(Duration::from_secs(20)).await.is_complete());
}

/// A source that records when it is closed and waited for.
struct Recorded {
    name: &'static str,
    calls: Arc<Mutex<Vec<String>>>,
}

impl DeliverySource for Recorded {
    fn report(&self) -> Option<SinkReport> {
        Some(SinkReport::new(self.name))
    }

    fn close(&self, _deadline: Instant) {
        self.calls.lock().unwrap().push(format!("close {}", self.name));
    }

    fn wait(&self, _deadline: Instant) {
        self.calls.lock().unwrap().push(format!("wait {}", self.name));
        assert!(self.name != "first", "a source that panics does not affect the others");
    }
}

#[test]
fn a_chained_delivery_is_closed_after_the_one_before_it() {
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let source = |name| Delivery::new(Recorded { name, calls: Arc::clone(&calls) });
    let delivery = Delivery::join([source("first").chain(source("second")), source("third")]);
    let report = delivery.shutdown_blocking(Duration::from_secs(10));
    assert_eq!(report.to_string().lines().count(), 3);
    let expected = ["close first", "close third", "wait first", "close second", "wait second", "wait third"];
    assert_eq!(*calls.lock().unwrap(), expected);
}

#[tokio::test]
async fn an_event_of_a_layer_equals_the_event_read_from_its_json() {
    let sink = MockSink::new();
    let service = EventLayer::new(sink.clone()).layer(service_fn(|request: Request<String>| async move {
        let tags = request.extensions().get::<Tags>().unwrap();
        tags.insert("team", HOSTILE);
        tags.record_usage(Usage::tokens(10, 20).of("openai", "gpt-4o"));
        thread::sleep(Duration::from_nanos(1_500));
        Ok::<_, Infallible>(Response::new("hello".to_owned()))
    }));
    let request = Request::get("https://example.com/chat").body(String::new()).unwrap();
    drop(service.oneshot(request).await.unwrap());
    let event = sink.single();
    assert!(event.time_to_head().is_some() && event.llm().is_some());
    let json = serde_json::to_string(&*event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), *event);
}

#[test]
fn json_names_an_invalid_status_and_accepts_a_null_call() {
    let mut json = serde_json::to_value(Event::builder().build()).unwrap();
    json["llm"] = Value::Null;
    assert_eq!(serde_json::from_value::<Event>(json.clone()).unwrap().llm(), None);
    json["response"]["status"] = 99.into();
    let error = serde_json::from_value::<Event>(json).unwrap_err().to_string();
    assert_eq!(error, "missing or invalid member `response.status` of the event");
}
