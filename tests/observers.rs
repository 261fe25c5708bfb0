//! Observers of running requests: isolation, order, and their combination with sinks.

mod common;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::Recorder;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer, Tags,
    event::Outcome,
    sink::{Delivery, Fanout, Sink},
    tagging::{RequestObserver, RequestScope, RequestStart},
    trace::TraceContext,
};

/// The method in which an observer or its scope panics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    Sampled,
    Begin,
    BeforePoll,
    AfterPoll,
    NeverPolls,
    Drop,
    End,
}

const FAULTS: [Fault; 8] = [
    Fault::None,
    Fault::Sampled,
    Fault::Begin,
    Fault::BeforePoll,
    Fault::AfterPoll,
    Fault::NeverPolls,
    Fault::Drop,
    Fault::End,
];

#[derive(Clone)]
struct Observer {
    name: &'static str,
    fault: Fault,
    log: Arc<Mutex<Vec<String>>>,
}

struct Scope(Observer);

impl Observer {
    fn log(&self, text: &str) {
        self.log.lock().unwrap().push(format!("{} {text}", self.name));
    }

    fn fail_in(&self, fault: Fault) {
        assert!(self.fault != fault, "the observer fails in {fault:?}");
    }
}

impl RequestObserver for Observer {
    fn is_sampled(&self, _trace: &TraceContext) -> Option<bool> {
        self.fail_in(Fault::Sampled);
        None
    }

    fn begin(&self, request: &mut RequestStart<'_>) -> Box<dyn RequestScope> {
        self.fail_in(Fault::Begin);
        self.log(&format!("begin {}", request.path));
        Box::new(Scope(self.clone()))
    }

    fn end(&self, event: &Arc<Event>) {
        self.fail_in(Fault::End);
        self.log(&format!("end {}", event.outcome()));
    }
}

impl RequestScope for Scope {
    fn run(&mut self, poll: &mut dyn FnMut()) {
        self.0.fail_in(Fault::BeforePoll);
        if self.0.fault != Fault::NeverPolls {
            poll();
        }
        self.0.fail_in(Fault::AfterPoll);
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.0.fail_in(Fault::Drop);
        self.0.log("close");
    }
}

async fn answer(request: Request<String>) -> Result<Response<String>, Infallible> {
    assert!(request.uri().path() != "/panic", "the service panics");
    Ok(Response::new("answer".into()))
}

#[tokio::test]
async fn a_panic_of_an_observer_affects_neither_the_request_nor_the_others() {
    for fault in FAULTS {
        for path in ["/", "/panic"] {
            let recorder = Recorder::new();
            let log = Arc::new(Mutex::new(Vec::new()));
            let observer = |name, fault| Observer { name, fault, log: Arc::clone(&log) };
            let layer = EventLayer::new(recorder.clone())
                .observer(observer("outer", Fault::None))
                .observer(observer("faulty", fault))
                .observer(observer("inner", Fault::None));
            let request = Request::get(path).body(String::new()).unwrap();
            let task = tokio::spawn(layer.layer(service_fn(answer)).oneshot(request)).await;
            let expected = if path == "/panic" { Outcome::Panicked } else { Outcome::Completed };
            match task {
                Ok(response) => {
                    let body = response.unwrap().into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(body, "answer", "{fault:?}");
                }
                Err(error) => assert!(error.is_panic() && path == "/panic", "{fault:?}"),
            }
            assert_eq!(recorder.single().outcome(), expected, "{fault:?} {path}");
            let log = log.lock().unwrap();
            for name in ["outer", "inner"] {
                let expected =
                    [format!("{name} begin {path}"), format!("{name} close"), format!("{name} end {expected}")];
                let got: Vec<_> = log.iter().filter(|line| line.starts_with(name)).cloned().collect();
                assert_eq!(got, expected, "{fault:?} {path}");
            }
        }
    }
}

/// Reads the current tags, as an observer for quotas does.
struct ReadsTags(Arc<Mutex<Vec<Option<String>>>>);

struct NoScope;

impl RequestScope for NoScope {
    fn run(&mut self, poll: &mut dyn FnMut()) {
        poll();
    }
}

impl RequestObserver for ReadsTags {
    fn begin(&self, _request: &mut RequestStart<'_>) -> Box<dyn RequestScope> {
        self.0.lock().unwrap().push(Tags::current().and_then(|tags| tags.get("team")));
        Box::new(NoScope)
    }
}

#[tokio::test]
async fn an_observer_may_use_the_tags_of_an_outer_layer() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let outer = MetadataLayer::builder()
        .scope(tower_tagging::metadata::Scope::Workspace, tower_tagging::tags! { "team" => "search" })
        .build()
        .unwrap();
    let recorder = Recorder::new();
    let inner = EventLayer::new(recorder.clone()).observer(ReadsTags(Arc::clone(&seen)));
    let service = outer.layer(inner.layer(service_fn(answer)));
    let call = service.oneshot(Request::new(String::new()));
    drop(tokio::time::timeout(Duration::from_secs(30), call).await.expect("a deadlock").unwrap());
    assert_eq!(*seen.lock().unwrap(), [Some("search".to_owned())]);
    assert_eq!(recorder.single().metadata().get("team"), Some("search"));
}

#[tokio::test]
async fn observers_are_kept_in_any_order_of_the_builder() {
    let recorder = Recorder::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let observer = Observer { name: "first", fault: Fault::None, log: Arc::clone(&log) };
    let layer = TaggingLayer::builder().observer(observer).events(EventLayer::new(recorder.clone())).build().unwrap();
    let service = layer.without_request_body().layer(service_fn(answer));
    service.oneshot(Request::new(String::new())).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["first begin /", "first close", "first end completed"]);
    recorder.single();
}

/// A sink that is switched on and off, and reports its events.
#[derive(Clone)]
struct Switched {
    is_on: Arc<AtomicBool>,
    recorder: Recorder,
}

impl Sink for Switched {
    fn emit(&self, event: Arc<Event>) {
        self.recorder.emit(event);
    }

    fn is_listening(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    fn delivery(&self) -> Delivery {
        self.recorder.delivery()
    }
}

#[tokio::test]
async fn a_sink_that_does_not_listen_receives_nothing_next_to_an_observer_or_another_sink() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let observer = Observer { name: "observer", fault: Fault::None, log: Arc::clone(&log) };
    let switched = Switched { is_on: Arc::new(AtomicBool::new(false)), recorder: Recorder::new() };
    let other = Recorder::new();
    let alone = EventLayer::new(switched.clone()).observer(observer);
    let both = EventLayer::new(Fanout::new().with(switched.clone()).with(other.clone()));
    let deliveries = [alone.delivery(), both.delivery()];
    for is_on in [false, true] {
        switched.is_on.store(is_on, Ordering::Relaxed);
        for layer in [&alone, &both] {
            drop(layer.layer(service_fn(answer)).oneshot(Request::new(String::new())).await.unwrap());
        }
        let expected = if is_on { 2 } else { 0 };
        assert_eq!(switched.recorder.events().len(), expected);
    }
    assert_eq!(other.events().len(), 2);
    // The sink was off when the handles were created, and is reported nevertheless.
    for delivery in deliveries {
        let report = delivery.shutdown(Duration::from_secs(5)).await;
        assert!(report.sinks.iter().any(|sink| sink.delivered == 1), "{report}");
    }
}
