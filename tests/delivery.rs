//! Delivery without silent loss: retries, events that cannot be stored, unavailable destinations, and the spool.

mod common;

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use common::{
    Log, TempFolder,
    delivery::{assert_balance, emit, emit_at, emit_tagged, report, wait_until},
};
use http::{Request, Response};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, Sink, Tags,
    sink::{
        self, BatchWriter, DropReason, Fsync, MockSink, Queued, QueuedBuilder, RetryPolicy, SinkHealth, SinkReport,
        Spool, SpoolBuilder, SpoolMode, WriteError,
    },
};

/// A writer that calls a closure.
struct Writer<F>(F);

impl<F: FnMut(&[Arc<Event>]) -> Result<(), WriteError> + Send + 'static> BatchWriter for Writer<F> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        (self.0)(events)
    }
}

/// The paths of the events that were written.
type Written = Arc<Mutex<Vec<String>>>;

fn note(written: &Written, events: &[Arc<Event>]) {
    written.lock().unwrap().extend(events.iter().map(|event| event.path().to_owned()));
}

fn paths(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("/{number}")).collect()
}

/// A policy with delays short enough for tests.
fn hasty() -> RetryPolicy {
    RetryPolicy::new().min_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(4))
}

#[test]
fn retries_continue_after_the_last_written_event() {
    let written = Written::default();
    let (log, mut calls) = (Arc::clone(&written), 0);
    let writer = Writer(move |events: &[Arc<Event>]| {
        calls += 1;
        match calls {
            1 => {
                note(&log, &events[..4]);
                Err(WriteError::retryable("cut").after(4))
            }
            2 => Err(WriteError::retryable("away")),
            _ => {
                note(&log, events);
                Ok(())
            }
        }
    });
    let sink = Queued::builder("flaky", writer).max_batch(10).retry(hasty()).build();
    emit(&EventLayer::new(sink.clone()), 0..25);
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(20));
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.sinks[0].retried, 12, "six events, twice");
    assert_eq!(*written.lock().unwrap(), paths(0..25));
}

#[test]
fn an_unavailable_destination_sees_one_attempt_for_each_delay() {
    let (attempts, is_up) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counts, up) = (Arc::clone(&attempts), Arc::clone(&is_up));
    let writer = Writer(move |_: &[Arc<Event>]| {
        counts.fetch_add(1, SeqCst);
        if up.load(SeqCst) { Ok(()) } else { Err(WriteError::retryable("connection refused")) }
    });
    let policy = RetryPolicy::new().min_delay(Duration::from_millis(20)).max_delay(Duration::from_millis(40));
    let sink = Queued::builder("dead", writer).max_batch(10).retry(policy).build();
    assert!(sink.delivery().is_healthy());
    emit(&EventLayer::new(sink.clone()), 0..1000);
    let start = Instant::now();
    wait_until(|| report(&sink).health == SinkHealth::Unavailable);
    assert!(!sink.delivery().is_healthy());
    wait_until(|| start.elapsed() > Duration::from_millis(400));
    let made = attempts.load(SeqCst);
    let most = usize::try_from(start.elapsed().as_millis()).unwrap() / 20 + 1;
    assert!((3..=most).contains(&made), "{made} attempts, expected 3 to {most}");
    let away = report(&sink);
    assert_eq!((away.delivered, away.in_flight()), (0, 1000));
    assert!(away.oldest_age.unwrap() > Duration::from_millis(300), "{away:?}");
    assert!(away.to_string().ends_with("1000 in flight, unavailable, last error: connection refused"), "{away}");
    assert_eq!(away.last_error.as_deref(), Some("connection refused"));
    is_up.store(true, SeqCst);
    wait_until(|| report(&sink).in_flight() == 0);
    assert!(sink.delivery().is_healthy());
    assert_eq!(report(&sink).oldest_age, None);
    assert!(sink.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    assert_eq!(report(&sink).health, SinkHealth::Stopped);
}

#[test]
fn counts_and_changes_of_health_are_logged() {
    thread_local! {
        static SUBSCRIBED: std::cell::RefCell<Option<tracing::dispatcher::DefaultGuard>> =
            const { std::cell::RefCell::new(None) };
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let dispatch = tracing::Dispatch::new(subscriber);
    let (is_up, in_writer) = (Arc::new(AtomicBool::new(false)), dispatch.clone());
    let up = Arc::clone(&is_up);
    let writer = Writer(move |_: &[Arc<Event>]| {
        // The sink's thread has no subscriber, so it gets this one.
        SUBSCRIBED.with_borrow_mut(|guard| {
            guard.get_or_insert_with(|| tracing::dispatcher::set_default(&in_writer));
        });
        if up.load(SeqCst) { Ok(()) } else { Err(WriteError::retryable("no route to host")) }
    });
    let sink = Queued::builder("billing", writer).retry(hasty()).build();
    emit(&EventLayer::new(sink.clone()), 0..3);
    wait_until(|| report(&sink).health == SinkHealth::Unavailable);
    tracing::dispatcher::with_default(&dispatch, || sink.delivery().log());
    is_up.store(true, SeqCst);
    wait_until(|| report(&sink).in_flight() == 0 && report(&sink).health == SinkHealth::Healthy);
    let _ = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    let text = log.take();
    for part in [
        "sink is unavailable, events are waiting",
        "no route to host",
        "sink=\"billing\" accepted=3 delivered=0",
        "in_flight=3",
        "health=\"unavailable\"",
        "sink is available again",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn retries_end_at_the_time_limit_or_the_shutdown_deadline() {
    let writer = Writer(|_: &[Arc<Event>]| Err(WriteError::retryable("away")));
    let policy = hasty().give_up_after(Duration::from_millis(30));
    let sink = Queued::builder("dead", writer).max_batch(10).retry(policy).build();
    emit(&EventLayer::new(sink.clone()), 0..30);
    wait_until(|| report(&sink).in_flight() == 0);
    assert_eq!(report(&sink).dropped_for(DropReason::WriteFailed), 30);
    // A shutdown ends retries at its own deadline.
    let writer = Writer(|_: &[Arc<Event>]| Err(WriteError::retryable("away")));
    let sink = Queued::builder("dead", writer).retry(hasty()).build();
    emit(&EventLayer::new(sink.clone()), 0..30);
    let start = Instant::now();
    let _ = sink.delivery().shutdown_blocking(Duration::from_millis(100));
    assert!(start.elapsed() < Duration::from_secs(5));
    wait_until(|| report(&sink).in_flight() == 0);
    assert_eq!(report(&sink).dropped_for(DropReason::WriteFailed), 30);
}

#[test]
fn an_event_that_cannot_be_stored_is_dropped_alone() {
    let written = Written::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let (log, counts) = (Arc::clone(&written), Arc::clone(&calls));
    let writer = Writer(move |events: &[Arc<Event>]| {
        counts.fetch_add(1, SeqCst);
        assert!(events.iter().all(|event| event.path() != "/700"), "a bug in the writer");
        if events.iter().any(|event| ["/3", "/4", "/999"].contains(&event.path())) {
            return Err(WriteError::rejected("value out of range"));
        }
        note(&log, events);
        Ok(())
    });
    let dead = MockSink::new();
    let sink = Queued::builder("picky", writer).max_batch(500).dead_letters(dead.clone()).build();
    emit(&EventLayer::new(sink.clone()), 0..1000);
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(20));
    let picky = report.sink("picky").unwrap();
    assert_balance(picky);
    let fates = (picky.delivered, picky.dropped_for(DropReason::Rejected), picky.dropped_for(DropReason::Panicked));
    assert_eq!(fates, (996, 3, 1), "{report}");
    let expected: Vec<String> =
        paths(0..1000).into_iter().filter(|path| !["/3", "/4", "/999", "/700"].contains(&path.as_str())).collect();
    assert_eq!(*written.lock().unwrap(), expected, "each event once, in order");
    let dead_paths: Vec<_> = dead.events().iter().map(|event| event.path().to_owned()).collect();
    assert_eq!(dead_paths, ["/3", "/4", "/700", "/999"]);
    assert_eq!(report.sinks[1].delivered, 4, "the report includes the dead-letter sink: {report}");
    assert!(calls.load(SeqCst) < 100, "the search halves the batch");
}

#[test]
fn large_events_are_bounded_in_bytes() {
    let is_open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&is_open);
    let writer = Writer(move |_: &[Arc<Event>]| {
        while !gate.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    let sink = Queued::builder("large", writer)
        .max_batch(1)
        .max_bytes(400 * 1024)
        .stalled_after(Duration::from_millis(20))
        .build();
    let layer = EventLayer::new(sink.clone());
    let long_path = format!("/{}", "x".repeat(20 * 1024));
    emit_at(&long_path, &layer, 0..200, "");
    let full = report(&sink);
    assert_balance(&full);
    assert!((5..40).contains(&full.in_flight()), "{full}");
    assert_eq!(full.dropped_for(DropReason::QueueFull), 200 - full.in_flight());
    wait_until(|| report(&sink).health == SinkHealth::Stalled);
    is_open.store(true, SeqCst);
    wait_until(|| report(&sink).in_flight() == 0);
    // Delivered events free their bytes.
    emit_at(&long_path, &layer, 0..5, "");
    let end = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_eq!(end.sinks[0].delivered, full.in_flight() + 5);
}

#[cfg(feature = "llm")]
#[test]
fn recorded_usage_counts_as_bytes_of_the_event() {
    use tower_tagging::usage::{ExtraCost, Money, Usage};

    let (open, gate) = std::sync::mpsc::channel::<()>();
    let writer = Writer(move |_: &[Arc<Event>]| {
        let _ = gate.recv();
        Ok(())
    });
    let sink = Queued::builder("recorded", writer).max_batch(1).max_bytes(400 * 1024).build();
    let service = EventLayer::new(sink.clone()).layer(service_fn(|request: Request<()>| {
        let tags = request.extensions().get::<Tags>().unwrap();
        for number in 0..100 {
            let model = format!("{number}-{}", "m".repeat(10_000));
            tags.record_usage(Usage::tokens(1, 1).of("openai", model));
            tags.record_cost(ExtraCost::new(Money::from_nano_usd(1)).of(format!("{number}"), 1.0));
        }
        std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    }));
    for _ in 0..100 {
        futures_util::FutureExt::now_or_never(service.clone().oneshot(Request::new(()))).unwrap().unwrap();
    }
    let full = report(&sink);
    assert_balance(&full);
    // Each event has 100 model names of 256 characters, 100 records, and 100 quantities: about 40 KiB.
    assert!((5..20).contains(&full.in_flight()), "{full}");
    drop(open);
    assert_eq!(sink.delivery().shutdown_blocking(Duration::from_secs(10)).sinks[0].delivered, full.in_flight());
}

fn always(folder: &Path) -> SpoolBuilder {
    Spool::builder(folder).mode(SpoolMode::Always).segment_bytes(64 * 1024)
}

/// A writer whose destination is unavailable until `is_up` is set.
fn switched(is_up: &Arc<AtomicBool>, written: &Written) -> impl BatchWriter {
    let (up, log) = (Arc::clone(is_up), Arc::clone(written));
    Writer(move |events: &[Arc<Event>]| {
        if !up.load(SeqCst) {
            return Err(WriteError::retryable("away"));
        }
        note(&log, events);
        Ok(())
    })
}

#[test]
fn events_that_do_not_fit_into_memory_are_spooled_in_order() {
    let folder = TempFolder::new("overflow");
    let (is_up, written) = (Arc::new(AtomicBool::new(false)), Written::default());
    let spool = Spool::builder(folder.path()).segment_bytes(64 * 1024).open().unwrap();
    let sink = Queued::builder("away", switched(&is_up, &written))
        .capacity(100)
        .max_batch(50)
        .retry(hasty())
        .spool(spool)
        .build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..2000);
    wait_until(|| report(&sink).health == SinkHealth::Unavailable);
    emit(&layer, 2000..3000);
    let away = report(&sink);
    assert_eq!((away.in_flight(), away.dropped()), (3000, 0), "{away}");
    assert!(away.spool.waiting >= 2800, "{away:?}");
    assert!(fs::read_dir(folder.path()).unwrap().count() > 10, "events are in several files");
    is_up.store(true, SeqCst);
    // A batch counts as delivered a moment before it is committed on disk.
    wait_until(|| report(&sink).in_flight() == 0 && report(&sink).spool.waiting == 0);
    assert_eq!(*written.lock().unwrap(), paths(0..3000));
    // New events go to memory again.
    let before = report(&sink).spool.written;
    emit(&layer, 3000..3050);
    assert!(sink.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    assert_eq!((report(&sink).spool.written, report(&sink).spool.waiting), (before, 0));
    assert_eq!(written.lock().unwrap().len(), 3050);
}

#[test]
fn the_next_process_delivers_what_is_left_in_the_spool() {
    let folder = TempFolder::new("restart");
    let (is_up, written) = (Arc::new(AtomicBool::new(false)), Written::default());
    for (mode, numbers) in [(SpoolMode::Always, 0..500), (SpoolMode::OnOverflow, 500..1000)] {
        let spool = Spool::builder(folder.path()).mode(mode).segment_bytes(64 * 1024).open().unwrap();
        let sink = Queued::builder("away", switched(&is_up, &written)).retry(hasty()).spool(spool).build();
        emit_tagged(&EventLayer::new(sink.clone()), numbers.clone(), "東京");
        let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
        let report = &report.sinks[0];
        assert_balance(report);
        assert_eq!(report.dropped(), 0, "{report}");
        assert_eq!(report.in_flight(), numbers.end as u64, "{report}");
        assert_eq!(report.spool.waiting, numbers.end as u64, "{report}");
        assert_eq!(report.spool.recovered, numbers.start as u64, "{report}");
        // Another process cannot open the spool meanwhile.
        assert_eq!(Spool::open(folder.path()).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }
    is_up.store(true, SeqCst);
    let spool = always(folder.path()).open().unwrap();
    let sink = Queued::builder("back", switched(&is_up, &written)).spool(spool).build();
    wait_until(|| report(&sink).in_flight() == 0);
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_eq!((report.sinks[0].accepted, report.sinks[0].delivered), (1000, 1000));
    assert_eq!(*written.lock().unwrap(), paths(0..1000));
    drop(sink);
    drop(report);
    // The process after that finds an empty spool.
    let spool = always(folder.path()).open().unwrap();
    let sink = Queued::builder("later", switched(&is_up, &written)).spool(spool).build();
    assert_eq!(sink.delivery().shutdown_blocking(Duration::from_secs(10)).sinks[0].accepted, 0);
    assert_eq!(written.lock().unwrap().len(), 1000);
}

#[test]
fn keys_with_a_special_meaning_for_serde_json_are_spooled_like_others() {
    let folder = TempFolder::new("keys");
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let writer = Writer(move |events: &[Arc<Event>]| {
        log.lock().unwrap().extend(events.iter().map(|event| serde_json::to_string(event.metadata()).unwrap()));
        Ok(())
    });
    let sink = Queued::builder("keys", writer).spool(always(folder.path()).open().unwrap()).build();
    let layer = EventLayer::new(sink.clone());
    let service = layer.layer(service_fn(|request: Request<()>| {
        let tags = request.extensions().get::<Tags>().unwrap();
        tags.extend([("$serde_json::private::RawValue", "x"), ("$serde_json::private::Number", "1"), ("z", "\\u0000")]);
        std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    }));
    futures_util::FutureExt::now_or_never(service.oneshot(Request::get("/").body(()).unwrap())).unwrap().unwrap();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    assert!(report.is_complete(), "{report}");
    let expected = r#"{"$serde_json::private::Number":"1","$serde_json::private::RawValue":"x","z":"\\u0000"}"#;
    assert_eq!(*seen.lock().unwrap(), [expected]);
}

#[test]
fn a_full_spool_accepts_events_again_once_it_is_drained() {
    let folder = TempFolder::new("small");
    let (is_up, written) = (Arc::new(AtomicBool::new(false)), Written::default());
    let spool = Spool::builder(folder.path()).mode(SpoolMode::Always).max_bytes(512 * 1024).open().unwrap();
    let sink = Queued::builder("away", switched(&is_up, &written)).capacity(10).retry(hasty()).spool(spool).build();
    let layer = EventLayer::new(sink.clone());
    for round in 0..3 {
        is_up.store(false, SeqCst);
        emit(&layer, 0..2000);
        assert!(report(&sink).dropped_for(DropReason::SpoolFull) > 0, "{}", report(&sink));
        let before = report(&sink).spool.written;
        is_up.store(true, SeqCst);
        wait_until(|| report(&sink).in_flight() == 0);
        emit(&layer, 0..10);
        wait_until(|| report(&sink).in_flight() == 0);
        assert_eq!(report(&sink).spool.written, before + 10, "round {round}");
    }
}

#[test]
fn a_shutdown_after_the_last_sink_is_dropped_has_its_own_deadline() {
    let (is_up, written) = (Arc::new(AtomicBool::new(false)), Written::default());
    let sink = Queued::builder("away", switched(&is_up, &written)).retry(hasty()).build();
    emit(&EventLayer::new(sink.clone()), 0..10);
    let delivery = sink.delivery();
    drop(sink);
    let shutdown = thread::spawn(move || delivery.shutdown_blocking(Duration::from_secs(60)));
    // Longer than the sink retries writes after it is dropped without a shutdown.
    thread::sleep(Duration::from_secs(11));
    is_up.store(true, SeqCst);
    let report = shutdown.join().unwrap();
    assert!(report.is_complete(), "{report}");
}

#[test]
fn shutdown_spools_the_queue_of_a_writer_that_hangs() {
    let folder = TempFolder::new("hang");
    let writer = Writer(|_: &[Arc<Event>]| {
        loop {
            thread::park();
        }
    });
    let spool = Spool::open(folder.path()).unwrap();
    let sink = Queued::builder("hangs", writer).capacity(100).max_batch(10).spool(spool).build();
    emit(&EventLayer::new(sink.clone()), 0..500);
    let report = sink.delivery().shutdown_blocking(Duration::from_millis(100));
    let report = &report.sinks[0];
    assert_balance(report);
    assert_eq!((report.accepted, report.in_flight(), report.dropped()), (500, 500, 0));
    assert!(report.spool.waiting >= 490, "all but the batch that the writer holds: {report}");
}

#[test]
fn a_spool_stays_within_its_size_limit() {
    let folder = TempFolder::new("budget");
    let (is_up, written) = (Arc::new(AtomicBool::new(false)), Written::default());
    let spool = always(folder.path()).max_bytes(200 * 1024).open().unwrap();
    let sink = Queued::builder("away", switched(&is_up, &written)).capacity(10).retry(hasty()).spool(spool).build();
    let layer = EventLayer::new(sink.clone());
    emit(&layer, 0..1000);
    let full = report(&sink);
    assert_balance(&full);
    assert!(full.spool.bytes <= 200 * 1024 && full.spool.bytes > 190 * 1024, "{full:?}");
    assert!(full.dropped_for(DropReason::SpoolFull) > 500, "{full}");
    let size: u64 = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= 201 * 1024, "{size} bytes on disk");
    is_up.store(true, SeqCst);
    wait_until(|| report(&sink).in_flight() == 0);
    emit(&layer, 1000..1100);
    wait_until(|| report(&sink).in_flight() == 0);
    let end = report(&sink);
    assert_eq!(end.delivered + end.dropped(), 1100);
    let written = written.lock().unwrap();
    assert!(written.iter().any(|path| path == "/1099"), "there is room again");
}

/// Fills a spool with events, and returns its files in order.
fn filled(folder: &Path, count: usize) -> Vec<PathBuf> {
    let (is_up, written) = (Arc::default(), Written::default());
    let spool = always(folder).open().unwrap();
    let sink = Queued::builder("away", switched(&is_up, &written)).retry(hasty()).spool(spool).build();
    emit_tagged(&EventLayer::new(sink.clone()), 0..count, "a tag");
    let _ = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files
}

/// Delivers what is in a spool, and returns the paths of the events and the report.
fn drained(folder: &Path) -> (Vec<String>, SinkReport) {
    let written = Written::default();
    let spool = always(folder).open().unwrap();
    let is_up = Arc::new(AtomicBool::new(true));
    let sink = Queued::builder("back", switched(&is_up, &written)).max_batch(7).spool(spool).build();
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(20)).sinks[0].clone();
    let written = written.lock().unwrap().clone();
    (written, report)
}

#[test]
fn torn_and_damaged_records_are_skipped() {
    let folder = TempFolder::new("damage");
    let files = filled(folder.path(), 300);
    assert!(files.len() > 2);
    // One record is torn at the end, and one is damaged in the middle of a file.
    let last = fs::OpenOptions::new().write(true).open(files.last().unwrap()).unwrap();
    last.set_len(last.metadata().unwrap().len() - 5).unwrap();
    let mut bytes = fs::read(&files[0]).unwrap();
    let at = bytes.windows(4).position(|window| window == b"\"/10").unwrap();
    bytes[at] = b'X';
    fs::write(&files[0], bytes).unwrap();
    let (written, report) = drained(folder.path());
    let expected: Vec<_> = paths(0..299).into_iter().filter(|path| path != "/10").collect();
    assert_eq!(written, expected);
    assert_eq!((report.accepted, report.delivered, report.spool.damaged), (298, 298, 2), "{report}");
    assert!(report.to_string().contains("2 damaged places in the spool"), "{report}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Intact records are delivered in order, and nothing else is.
    #[test]
    fn random_damage_affects_only_the_damaged_records(edits in proptest::collection::vec((0.0..1.0f64, 0..4u8, any::<u8>()), 1..6), cursor in any::<bool>()) {
        let folder = TempFolder::new("any-damage");
        let files = filled(folder.path(), 60);
        let mut bytes = fs::read(&files[0]).unwrap();
        let mut changed = 0;
        for (place, kind, byte) in edits {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
            let at = (place * bytes.len() as f64) as usize;
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at + 1),
                2 => bytes.insert(at, byte),
                _ => drop(bytes.drain(at..(at + usize::from(byte)).min(bytes.len()))),
            }
            changed += 1;
            if bytes.is_empty() { break }
        }
        let is_truncated = (bytes.len() as u64) < fs::metadata(&files[0]).unwrap().len();
        fs::write(&files[0], &bytes).unwrap();
        if cursor {
            fs::write(folder.path().join("cursor"), [7; 20]).unwrap();
        }
        let (written, report) = drained(folder.path());
        assert_balance(&report);
        prop_assert_eq!(report.in_flight(), 0);
        prop_assert_eq!(report.dropped(), 0);
        // Each event is delivered once, and in order.
        let numbers: Vec<usize> = written.iter().map(|path| path[1..].parse().unwrap()).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{:?}", numbers);
        if !is_truncated {
            // A change affects the record it is in, and at most one more.
            prop_assert!(written.len() + 2 * changed >= 60, "{} of 60 after {} changes", written.len(), changed);
        }
    }
}

/// Prints each flushed file to standard error before it flushes it.
#[cfg(target_os = "linux")]
const FLUSHES: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static int flush(long call, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    dprintf(2, "flushed %.*s\n", (int)(length < 0 ? 0 : length), path);
    return syscall(call, fd);
}

int fsync(int fd) { return flush(SYS_fsync, fd); }
int fdatasync(int fd) { return flush(SYS_fdatasync, fd); }
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_spool_is_flushed_according_to_its_policy() {
    use std::{
        io::{BufRead, BufReader, Read},
        process::{Command, Stdio},
    };

    const CHILD: &str = "TOWER_TAGGING_TEST_FLUSHES";
    const FOLDER: &str = "TOWER_TAGGING_TEST_FOLDER";
    if let Ok(policy) = std::env::var(CHILD) {
        let fsync = match policy.as_str() {
            "always" => Fsync::Always,
            "never" => Fsync::Never,
            millis => Fsync::Interval(Duration::from_millis(millis.parse().unwrap())),
        };
        let spool = always(Path::new(&std::env::var_os(FOLDER).unwrap())).fsync(fsync).open().unwrap();
        let writer = Writer(|_: &[Arc<Event>]| Err(WriteError::retryable("away")));
        let sink = Queued::builder("away", writer).retry(hasty()).spool(spool).build();
        emit(&EventLayer::new(sink.clone()), 0..400);
        // Uses a single write because the flushes go to the same pipe.
        let line = format!("spooled {}\n", report(&sink).spool.written);
        io::Write::write_all(&mut io::stderr(), line.as_bytes()).unwrap();
        // Waits until the parent closes standard input, but no longer than 30 seconds.
        thread::spawn(|| {
            thread::sleep(Duration::from_secs(30));
            std::process::exit(1);
        });
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let folder = TempFolder::new("flushes");
    let (source, library) = (folder.file("flushes.c"), folder.file("flushes.so"));
    fs::write(&source, FLUSHES).unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(compiled.expect("a C compiler is needed, as for dependencies").success());
    for (policy, flushes) in [("always", true), ("100", true), ("3600000", false), ("never", false)] {
        let spool = folder.path().canonicalize().unwrap().join(policy);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_spool_is_flushed_according_to_its_policy", "--nocapture"])
            .envs([(CHILD, policy.as_ref()), (FOLDER, spool.as_os_str()), ("LD_PRELOAD", library.as_os_str())])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut flushed = HashSet::new();
        let mut is_spooled = false;
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        for line in lines.map(Result::unwrap) {
            is_spooled |= line == "spooled 400";
            flushed.extend(line.strip_prefix("flushed ").map(PathBuf::from));
            let is_written_to = |path: &PathBuf| !["lock", "cursor"].iter().any(|name| path.ends_with(name));
            let files = || fs::read_dir(&spool).unwrap().map(|file| file.unwrap().path()).filter(is_written_to);
            let is_all_flushed = || files().chain([spool.clone()]).all(|path| flushed.contains(&path));
            if is_spooled && (!flushes || is_all_flushed()) {
                assert!(files().count() > 1, "{policy}");
                break;
            }
        }
        assert_eq!(flushes, !flushed.is_empty(), "{policy}: {flushed:?}");
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "{policy}: {flushed:?}");
    }
}

/// A limit on the size of files stands in for a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_does_not_lose_count_of_events() {
    const CHILD: &str = "TOWER_TAGGING_TEST_FULL_DISK";
    if let Some(folder) = std::env::var_os(CHILD) {
        let (is_up, written) = (Arc::new(AtomicBool::new(false)), Written::default());
        let spool = Spool::builder(PathBuf::from(folder)).mode(SpoolMode::Always).open().unwrap();
        let sink = Queued::builder("away", switched(&is_up, &written)).capacity(50).retry(hasty()).spool(spool).build();
        emit(&EventLayer::new(sink.clone()), 0..1000);
        let full = report(&sink);
        assert_balance(&full);
        assert!(full.dropped_for(DropReason::SpoolFailed) > 100, "{full}");
        assert!(full.spool.waiting > 50, "{full}");
        is_up.store(true, SeqCst);
        let end = sink.delivery().shutdown_blocking(Duration::from_secs(20)).sinks[0].clone();
        assert_eq!((end.in_flight(), end.delivered + end.dropped()), (0, 1000), "{end}");
        assert_eq!(end.spool.damaged, 0, "the spool removed the torn record: {end}");
        let written: HashSet<String> = written.lock().unwrap().iter().cloned().collect();
        assert_eq!(written.len() as u64, end.delivered, "no event was written twice");
        return;
    }
    let folder = TempFolder::new("full-disk");
    let program = std::env::current_exe().unwrap();
    // Limits files to 128 KiB, and reports an error instead of a signal.
    let script =
        "ulimit -f 128; trap '' XFSZ; exec \"$0\" --exact a_full_disk_does_not_lose_count_of_events --nocapture";
    let output = std::process::Command::new("bash")
        .args(["-c", script])
        .arg(program)
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

type Chaotic = QueuedBuilder<Box<dyn BatchWriter>>;

/// Emits 50,000 events to a writer that is slow, fails in every way, panics, and is unavailable for a while.
///
/// Each event is delivered or dropped once.
fn chaos(configure: impl FnOnce(Chaotic) -> Chaotic) -> SinkReport {
    const EVENTS: usize = 50_000;
    let delivered: Arc<Mutex<HashMap<u128, u32>>> = Arc::default();
    let (log, mut calls) = (Arc::clone(&delivered), 0_u64);
    let writer = Writer(move |events: &[Arc<Event>]| {
        calls += 1;
        // Deterministic, so that every run has the same sequence.
        let dice = calls.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let write = |events: &[Arc<Event>]| {
            let mut log = log.lock().unwrap();
            events.iter().for_each(|event| *log.entry(event.id().as_u128()).or_default() += 1);
        };
        if events.iter().any(|event| event.path().ends_with("777")) {
            return Err(WriteError::rejected("seven"));
        }
        match dice % 20 {
            0 => {
                thread::sleep(Duration::from_millis(3));
                write(events);
                Ok(())
            }
            1 | 2 => Err(WriteError::retryable("away")),
            3 => {
                let some = events.len() / 3;
                write(&events[..some]);
                Err(WriteError::retryable("cut").after(some))
            }
            4 if dice % 7 == 0 => {
                let some = events.len() / 2;
                write(&events[..some]);
                Err(WriteError::new("gone").after(some))
            }
            5 => panic!("a bug"),
            _ => {
                write(events);
                Ok(())
            }
        }
    });
    let dead = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&dead);
    let writer: Box<dyn BatchWriter> = Box::new(writer);
    let builder =
        Queued::builder("chaos", writer).retry(hasty()).max_batch(100).dead_letters(sink::from_fn(move |_| {
            counts.fetch_add(1, SeqCst);
        }));
    let sink = configure(builder).build();
    let layer = EventLayer::new(sink.clone());
    thread::scope(|scope| {
        for part in 0..4 {
            let layer = &layer;
            scope.spawn(move || emit(layer, part * EVENTS / 4..(part + 1) * EVENTS / 4));
        }
    });
    // After a shutdown, spooled events could be left to the next process.
    let deadline = Instant::now() + Duration::from_secs(120);
    while report(&sink).in_flight() > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(10));
    let chaos = report.sink("chaos").unwrap().clone();
    assert_balance(&chaos);
    assert_eq!((chaos.accepted, chaos.in_flight()), (EVENTS as u64, 0), "{chaos}");
    let delivered = delivered.lock().unwrap();
    assert!(delivered.values().all(|times| *times == 1), "an event was delivered twice");
    assert_eq!(delivered.len() as u64, chaos.delivered, "{chaos}");
    let isolated = chaos.dropped_for(DropReason::Rejected) + chaos.dropped_for(DropReason::Panicked);
    assert_eq!(dead.load(SeqCst), isolated, "{chaos}");
    assert!(chaos.retried > 0, "{chaos}");
    chaos
}

#[test]
fn every_event_has_one_fate_in_memory() {
    let report = chaos(|builder| builder.capacity(EVERYTHING).max_bytes(u64::MAX));
    assert_eq!(report.dropped_for(DropReason::QueueFull), 0);
    assert_eq!(report.dropped_for(DropReason::Rejected), 50, "{report}");
    let report = chaos(|builder| builder.capacity(20).on_queue_full(|_| {}));
    assert!(report.dropped_for(DropReason::QueueFull) > 0, "{report}");
}

/// More than the number of events.
const EVERYTHING: usize = 65_536;

#[test]
fn every_event_has_one_fate_with_a_spool() {
    for (mode, fsync) in [(SpoolMode::OnOverflow, Fsync::Never), (SpoolMode::Always, Fsync::Always)] {
        let folder = TempFolder::new("chaos");
        let spool = Spool::builder(folder.path()).mode(mode).fsync(fsync).segment_bytes(1 << 20).open().unwrap();
        let report = chaos(|builder| builder.capacity(1000).spool(spool));
        assert_eq!(report.dropped_for(DropReason::QueueFull), 0, "{report}");
        assert_eq!(report.dropped_for(DropReason::Rejected), 50, "{report}");
        assert!(report.spool.written > 0, "{report:?}");
    }
}
