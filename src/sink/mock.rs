use std::{
    fmt::{self, Write},
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use crate::event::Event;

use super::Sink;

/// Keeps every event in memory, for assertions in unit tests.
///
/// Clones share the events: give one to the layer and ask the other.
///
/// ```
/// use tower::{Layer, ServiceExt};
/// use tower_tagging::{EventLayer, sink::MockSink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sink = MockSink::new();
/// let service = EventLayer::new(sink.clone()).layer(tower::service_fn(|_: http::Request<()>| async {
///     Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
/// }));
/// service.oneshot(http::Request::get("/health").body(())?).await?;
///
/// let event = sink.single();
/// assert_eq!((event.path(), event.status()), ("/health", Some(http::StatusCode::OK)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MockSink {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    events: Vec<Arc<Event>>,
    wakers: Vec<Waker>,
}

/// How long [`MockSink::wait_for`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

impl MockSink {
    /// No events yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All events so far, in the order in which they arrived.
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.state().events.clone()
    }

    /// The only event.
    ///
    /// # Panics
    /// When there is none, or more than one; the message lists what did arrive.
    #[track_caller]
    pub fn single(&self) -> Arc<Event> {
        let events = self.events();
        match events.as_slice() {
            [event] => Arc::clone(event),
            _ => fail("expected a single event", &events),
        }
    }

    /// The first event that the predicate is true for.
    ///
    /// # Panics
    /// When there is none; the message lists what did arrive.
    #[track_caller]
    pub fn find(&self, predicate: impl Fn(&Event) -> bool) -> Arc<Event> {
        let events = self.events();
        match events.iter().find(|event| predicate(event)) {
            Some(event) => Arc::clone(event),
            None => fail("expected an event that matches", &events),
        }
    }

    /// Waits until at least `count` events arrived, and gives all of them.
    ///
    /// Works on any runtime, and under tokio's paused clock.
    ///
    /// # Panics
    /// When they have not arrived after 10 seconds; the message lists what did arrive.
    pub async fn wait_for(&self, count: usize) -> Vec<Arc<Event>> {
        let deadline = Instant::now() + PATIENCE;
        let mut has_alarm = false;
        poll_fn(|context| {
            let mut state = self.state();
            if state.events.len() >= count {
                return Poll::Ready(state.events.clone());
            }
            if Instant::now() >= deadline {
                let events = state.events.clone();
                drop(state);
                fail(&format!("expected {count} events within {PATIENCE:?}"), &events);
            }
            state.wakers.push(context.waker().clone());
            if !has_alarm {
                has_alarm = true;
                let waker = context.waker().clone();
                thread::spawn(move || {
                    thread::sleep(PATIENCE);
                    waker.wake();
                });
            }
            Poll::Pending
        })
        .await
    }

    /// Forgets all events.
    pub fn clear(&self) {
        self.state().events.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[track_caller]
#[allow(clippy::panic, reason = "it is an assertion of a test")]
fn fail(expectation: &str, events: &[Arc<Event>]) -> ! {
    let mut message = format!("{expectation}, but {} arrived", events.len());
    if events.is_empty() {
        message.push_str(": a request's event is there once its response body was read to the end, or dropped");
    }
    for event in events {
        // Writing to a string does not fail.
        let _ = write!(message, "\n  {event:?}");
    }
    panic!("{message}")
}

impl fmt::Debug for MockSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.events()).finish()
    }
}

impl Sink for MockSink {
    fn emit(&self, event: Arc<Event>) {
        let wakers = {
            let mut state = self.state();
            state.events.push(event);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn name(&self) -> &'static str {
        "mock"
    }
}
