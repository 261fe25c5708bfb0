//! Where events go, and that each one's fate is counted.

mod common;

use std::{
    convert::Infallible,
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Log, TempFolder};
use http::{Request, Response};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, Sink, TaggingLayer, Tags,
    event::{Clock, ManualClock},
    metadata::ConfigError,
    sink::{
        BatchWriter, ChannelSink, Delivery, DropReason, Fanout, Filter, JsonLinesSink, JsonLinesWriter, MockSink,
        Queued, SinkReport, TracingSink, WriteError,
    },
    tagging::RequestBody,
    trace::SequentialIds,
    usage::{Usage, UsageTap},
};

/// Events as a service makes them.
fn emit(layer: &EventLayer, count: usize) {
    let service = layer.layer(service_fn(async |request: Request<()>| {
        request.extensions().get::<Tags>().unwrap().insert("hostile", "a\n\"b\"\u{2028}東京");
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    for number in 0..count {
        let request = Request::get(format!("/{number}")).body(()).unwrap();
        futures_util::FutureExt::now_or_never(service.clone().oneshot(request)).unwrap().unwrap();
    }
}

fn balance(report: &SinkReport) {
    assert_eq!(report.accepted, report.delivered + report.dropped() + report.in_flight(), "{report}");
}

/// A writer that waits for its gate, so that a test decides when it works.
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
fn a_full_queue_drops_the_newest_and_says_so() {
    let (gate, written, writer) = gated();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let sink = Queued::builder("gated", writer)
        .capacity(10)
        .max_batch(1)
        .on_queue_full(move |full| hears.lock().unwrap().push((full.sink().to_owned(), full.dropped())))
        .build();
    let layer = EventLayer::new(sink.clone());
    // The first is in the writer's hands, so that the queue is empty.
    emit(&layer, 1);
    wait_until(|| sink.delivery().report().sinks[0].in_flight() == 1 && is_taken(&sink));
    emit(&layer, 25);
    let report = sink.delivery().report();
    let report = report.sink("gated").unwrap();
    balance(report);
    assert_eq!((report.accepted, report.delivered, report.in_flight()), (26, 0, 11));
    assert_eq!(report.dropped_for(DropReason::QueueFull), 15);
    // Once a minute at most, whatever is dropped.
    assert_eq!(*heard.lock().unwrap(), [("gated".to_owned(), 1)]);
    gate.open();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_eq!(report.sinks[0].delivered, 11);
    let total: u64 = heard.lock().unwrap().iter().map(|(_, dropped)| dropped).sum();
    assert_eq!(total, 15, "the observer hears of the rest at the end");
    assert_eq!(written.lock().unwrap().as_slice(), ["/0", "/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"]);
}

/// Whether the worker took the event that it waits with.
fn is_taken(sink: &Queued) -> bool {
    // The queue's own length is not public: an event that is in flight for long enough is with the writer.
    thread::sleep(Duration::from_millis(100));
    sink.delivery().report().sinks[0].in_flight() == 1
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_full_queue_can_drop_the_oldest() {
    let (gate, written, writer) = gated();
    let sink = Queued::builder("gated", writer).capacity(3).max_batch(1).drop_oldest().build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 1);
    wait_until(|| is_taken(&sink));
    emit(&layer, 10);
    gate.open();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    balance(&report.sinks[0]);
    assert_eq!(report.sinks[0].dropped_for(DropReason::QueueFull), 7);
    assert_eq!(written.lock().unwrap().as_slice(), ["/0", "/7", "/8", "/9"]);
}

#[test]
fn shutdown_at_the_deadline_says_what_is_left() {
    let (gate, _, writer) = gated();
    let sink = Queued::builder("gated", writer).max_batch(4).build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 10);
    let start = Instant::now();
    let report = sink.delivery().shutdown_blocking(Duration::from_millis(50));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(!report.is_complete());
    assert_eq!((report.sinks[0].delivered, report.sinks[0].in_flight()), (0, 10));
    // What comes later is dropped, and counted.
    emit(&layer, 2);
    assert_eq!(sink.delivery().report().sinks[0].dropped_for(DropReason::Closed), 2);
    gate.open();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    balance(&report.sinks[0]);
    assert_eq!((report.sinks[0].delivered, report.sinks[0].in_flight()), (10, 0));
}

#[test]
fn writers_that_fail_or_panic_are_counted() {
    struct Moody(usize);

    impl BatchWriter for Moody {
        fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
            self.0 += 1;
            if self.0 == 1 {
                return Err(WriteError::new("disk gone").after(events.len() / 2));
            }
            assert!(self.0 < 2 || events.iter().all(|event| event.path() != "/3"), "the writer panics");
            Ok(())
        }
    }

    let sink = Queued::builder("moody", Moody(0)).max_batch(10).max_delay(Duration::from_secs(60)).build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 10);
    wait_until(|| sink.delivery().report().sinks[0].in_flight() == 0);
    emit(&layer, 10);
    wait_until(|| sink.delivery().report().sinks[0].in_flight() == 0);
    emit(&layer, 10);
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    let report = &report.sinks[0];
    balance(report);
    assert_eq!(report.delivered, 23);
    assert_eq!(report.dropped_for(DropReason::WriteFailed), 5);
    // One of each batch: the others were written without it.
    assert_eq!(report.dropped_for(DropReason::Panicked), 2);
    assert_eq!(
        report.to_string(),
        "moody: 30 accepted, 23 delivered, 5 dropped (write_failed), 2 dropped (panicked), 0 in flight, \
         last error: the writer panicked"
    );
}

/// Whatever a writer does, its thread ends in order.
#[test]
fn a_worker_ends_in_order() {
    struct PanicsAtTheEnd;

    impl BatchWriter for PanicsAtTheEnd {
        fn write(&mut self, _: &[Arc<Event>]) -> Result<(), WriteError> {
            Ok(())
        }
    }

    impl Drop for PanicsAtTheEnd {
        fn drop(&mut self) {
            panic!("the writer panics at its end");
        }
    }

    // A delay that no clock can express: only full batches, and the end.
    let sink = Queued::builder("forever", PanicsAtTheEnd).max_delay(Duration::MAX).build();
    emit(&EventLayer::new(sink.clone()), 3);
    let start = Instant::now();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(60));
    assert!(report.is_complete(), "{report}");
    assert!(start.elapsed() < Duration::from_secs(30), "it did not wait for the deadline");
}

/// Bytes in a buffer that can't be flushed are not delivered.
#[test]
fn json_lines_that_are_not_flushed() {
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
    emit(&layer, 3);
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_eq!(report.sink("jsonl").unwrap().dropped_for(DropReason::WriteFailed), 3, "{report}");
}

/// Few events are on their way at once: a full batch is written at 64, long before the default delay or size of a [`Queued`].
#[test]
fn json_lines_go_out_64_at_once() {
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
    emit(&layer, 150);
    assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    assert_eq!(*lines.0.lock().unwrap(), [64, 64, 22]);
}

/// Batches fill by size, and by time.
#[test]
fn batches_by_size_and_time() {
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
    emit(&layer, 5);
    wait_until(|| sizes.lock().unwrap().len() == 1);
    emit(&layer, 5);
    wait_until(|| sizes.lock().unwrap().len() == 2);
    assert_eq!(*sizes.lock().unwrap(), [5, 5]);

    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let by_time = Queued::builder("sizes", Sizes(Arc::clone(&sizes)));
    let by_time = by_time.max_batch(1000).max_delay(Duration::from_millis(20)).build();
    emit(&EventLayer::new(by_time.clone()), 3);
    wait_until(|| sizes.lock().unwrap().iter().sum::<usize>() == 3);
}

/// Many threads, counts read all the while, sinks dropped without a shutdown.
#[test]
fn counts_add_up_under_load() {
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
            scope.spawn(|| emit(&layer, 10_000));
        }
        for _ in 0..1000 {
            balance(&delivery.report().sinks[0]);
        }
    });
    // The last sink is gone: the thread writes what is left and ends.
    drop(layer);
    wait_until(|| delivery.report().sinks[0].in_flight() == 0);
    let report = delivery.report();
    assert_eq!(report.sinks[0].accepted, 40_000);
    assert_eq!(report.sinks[0].delivered, written.load(Ordering::Relaxed) as u64);
    balance(&report.sinks[0]);
}

#[test]
fn shutdown_amid_load_loses_count_of_nothing() {
    for _ in 0..20 {
        let (gate, written, writer) = gated();
        gate.open();
        let sink = Queued::builder("gated", writer).max_delay(Duration::ZERO).build();
        let delivery = sink.delivery();
        let layer = EventLayer::new(sink);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| emit(&layer, 300));
            }
            thread::sleep(Duration::from_millis(2));
            balance(&delivery.shutdown_blocking(Duration::from_secs(10)).sinks[0]);
        });
        let report = delivery.report();
        let report = &report.sinks[0];
        assert_eq!((report.accepted, report.in_flight()), (600, 0), "{report}");
        assert_eq!(report.delivered, written.lock().unwrap().len() as u64);
    }
}

#[test]
fn sinks_that_panic_are_kept_from_the_request() {
    let mock = MockSink::new();
    let sinks = Fanout::new()
        .with(|_: Arc<Event>| panic!("the sink panics"))
        .with(Filter::new(|event: &Event| event.path() != "/1", mock.clone()))
        .with(Filter::new(|_: &Event| panic!("the filter panics"), MockSink::new()));
    let layer = EventLayer::new(sinks);
    let delivery = layer.delivery();
    emit(&layer, 3);
    assert_eq!(mock.events().len(), 2);
    let report = delivery.shutdown_blocking(Duration::ZERO);
    report.sinks.iter().for_each(balance);
    assert_eq!(report.sink("closure").unwrap().dropped_for(DropReason::Panicked), 3);
    assert_eq!(report.sink("mock").unwrap().delivered, 2, "{report}");
    let panicked: u64 = report.sinks.iter().map(|sink| sink.dropped_for(DropReason::Panicked)).sum();
    assert_eq!(panicked, 6, "those of the filter are counted too: {report}");
    emit(&layer, 1);
    assert_eq!(layer.delivery().report().sink("closure").unwrap().dropped_for(DropReason::Closed), 1);
}

#[test]
fn a_builder_adds_sinks_of_any_kind() {
    let mocks = [MockSink::new(), MockSink::new(), MockSink::new()];
    let boxed: Box<dyn Sink> = Box::new(mocks[1].clone());
    let shared: Arc<dyn Sink> = Arc::new(mocks[2].clone());
    let events = EventLayer::new(mocks[0].clone()).clock(ManualClock::new());
    let builder = TaggingLayer::builder().events(events).sink(boxed).sink(None::<MockSink>).sink(Some(shared));
    let layer = builder.build().unwrap();
    let service = layer
        .layer(service_fn(async |_: Request<RequestBody<String>>| Ok::<_, Infallible>(Response::new(String::new()))));
    futures_util::FutureExt::now_or_never(service.oneshot(Request::new(String::new()))).unwrap().unwrap();
    for mock in &mocks {
        assert_eq!(mock.single().time(), ManualClock::new().now());
    }
    let report = layer.delivery().shutdown_blocking(Duration::ZERO);
    let told: Vec<_> = report.sinks.iter().map(|sink| (sink.name(), sink.delivered)).collect();
    assert_eq!(told.iter().filter(|(name, _)| *name == "mock").count(), 3, "{told:?}");
    assert!(report.is_complete(), "{report}");
    // Nobody would learn of it.
    let usage = || TaggingLayer::builder().usage(UsageTap::new());
    let refused = usage().build().unwrap_err();
    assert_eq!(refused, ConfigError::UsageWithoutSink);
    assert!(refused.to_string().starts_with("LLM usage is read for nobody"), "{refused}");
    assert!(usage().sink(MockSink::new()).build().is_ok());
    assert!(TaggingLayer::builder().usage(UsageTap::new().roll_up()).build().is_ok());
}

#[tokio::test]
async fn channel() {
    let (sink, mut events) = ChannelSink::new(2);
    let layer = EventLayer::new(sink);
    emit(&layer, 3);
    assert_eq!(events.recv().await.unwrap().path(), "/0");
    drop(events);
    emit(&layer, 1);
    let report = layer.delivery().report();
    let report = report.sink("channel").unwrap();
    balance(report);
    assert_eq!((report.accepted, report.delivered), (4, 2));
    assert_eq!((report.dropped_for(DropReason::QueueFull), report.dropped_for(DropReason::Closed)), (1, 1));
}

#[test]
fn json_lines_to_a_file() {
    let folder = TempFolder::new("jsonl");
    let path = folder.file("events.jsonl");
    for _ in 0..2 {
        // A second run appends.
        let layer = EventLayer::new(JsonLinesSink::file(&path).unwrap());
        emit(&layer, 1000);
        assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().for_each(common::assert_schema);
    let paths: Vec<_> = lines.iter().map(|line| line["request"]["path"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = (0..1000).chain(0..1000).map(|number| format!("/{number}")).collect();
    assert_eq!(paths, expected);
    assert_eq!(lines[0]["metadata"]["hostile"], "a\"b\"\u{2028}東京", "control characters are removed");
    assert!(JsonLinesSink::file(folder.file("none/such")).is_err());

    // A line that a killed process left behind stays on a line of its own.
    std::fs::write(&path, "{\"torn").unwrap();
    let layer = EventLayer::new(JsonLinesSink::file(&path).unwrap());
    emit(&layer, 1);
    assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "{\"torn"));
    common::assert_schema(&serde_json::from_str(lines[1]).unwrap());
}

/// A writer that fails in mid-line tears no later line, and what it did write counts.
#[test]
fn json_lines_over_a_failing_writer() {
    #[derive(Clone, Default)]
    struct Flaky(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Flaky {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.lock().unwrap();
            state.0 += 1;
            match state.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                // One whole line and a half.
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
    emit(&layer, 3);
    wait_until(|| sink.delivery().report().sinks[0].in_flight() == 0);
    emit(&layer, 3);
    let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
    let report = report.sink("jsonl").unwrap();
    balance(report);
    // The disk was full only for a moment.
    assert_eq!((report.delivered, report.retried), (6, 2));
    let text = String::from_utf8(flaky.0.lock().unwrap().1.clone()).unwrap();
    let whole = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert_eq!((whole, text.lines().count()), (6, 7), "{text}");
}

#[test]
fn tracing_events_and_the_span_around_a_request() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter("info,billing=debug")
        .with_writer(move || writer.clone())
        .finish();
    let lines = || -> Vec<Value> { log.take().lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    tracing::subscriber::with_default(subscriber, || {
        emit(&EventLayer::new(TracingSink::new()), 1);
        let line = lines().remove(0);
        assert_eq!((line["level"].as_str(), line["target"].as_str()), (Some("INFO"), Some("tower_tagging::event")));
        let fields = &line["fields"];
        assert_eq!((fields["path"].as_str(), fields["status"].as_u64()), (Some("/0"), Some(200)));
        assert_eq!(fields["outcome"], "completed");
        assert_eq!(fields["message"], "GET /0 completed");
        let tags: Value = serde_json::from_str(fields["metadata"].as_str().unwrap()).unwrap();
        assert_eq!(tags["hostile"], "a\"b\"\u{2028}東京");
        assert!(fields["diagnostics"].as_str().unwrap().contains("control_removed"));
        assert!(fields.get("route").is_none() && fields.get("error").is_none());

        // What a call of an LLM used.
        let service = EventLayer::new(TracingSink::new()).usage(UsageTap::new()).layer(service_fn(
            async |request: Request<()>| {
                let tags = request.extensions().get::<Tags>().unwrap();
                tags.record_usage(Usage::tokens(1_000, 100).of("openai", "gpt-4o"));
                Ok::<_, Infallible>(Response::new(String::new()))
            },
        ));
        futures_util::FutureExt::now_or_never(service.oneshot(Request::new(()))).unwrap().unwrap();
        let fields = &lines()[0]["fields"];
        assert_eq!((&fields["llm_provider"], &fields["llm_model"]), (&"openai".into(), &"gpt-4o".into()));
        assert_eq!((&fields["llm_input_tokens"], &fields["llm_cost_usd"]), (&1000.into(), &0.0035.into()));

        // Another target and level, each as filters see them.
        emit(&EventLayer::new(TracingSink::new().target("billing").level(tracing::Level::DEBUG)), 1);
        assert_eq!(lines()[0]["target"], "billing");
        emit(&EventLayer::new(TracingSink::new().target("other").level(tracing::Level::DEBUG)), 1);
        assert!(lines().is_empty());

        // The app's own lines know their request, in the service and in the body.
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

/// With a clock that stands still and ids that count up, whole events are the same.
#[test]
fn snapshots_are_the_same_in_every_run() {
    let run = || {
        let mock = MockSink::new();
        let layer = EventLayer::new(mock.clone()).clock(ManualClock::new()).ids(SequentialIds::new());
        emit(&layer, 2);
        mock.events().iter().map(|event| common::json(event)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
    assert_eq!(run()[1]["id"], "00000000-0000-7000-8000-000000000004");
}

#[test]
#[should_panic(expected = "expected a single event, but 2 arrived")]
fn mock_says_what_arrived() {
    let mock = MockSink::new();
    emit(&EventLayer::new(mock.clone()), 2);
    assert_eq!(mock.find(|event| event.path() == "/1").path(), "/1");
    mock.single();
}

#[tokio::test(start_paused = true)]
async fn mock_waits_under_a_paused_clock() {
    let mock = MockSink::new();
    let layer = EventLayer::new(mock.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        emit(&layer, 1);
    });
    assert_eq!(mock.wait_for(1).await.len(), 1);
}

#[test]
fn deliveries_join() {
    let (first, second) = (Queued::new("first", Nothing), Queued::new("second", Nothing));
    let report = Delivery::join([first.delivery(), second.delivery()]).shutdown(Duration::from_secs(10));
    let names: Vec<_> = report.sinks.iter().map(SinkReport::name).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(report.is_complete());
}

struct Nothing;

impl BatchWriter for Nothing {
    fn write(&mut self, _: &[Arc<Event>]) -> Result<(), WriteError> {
        Ok(())
    }
}
