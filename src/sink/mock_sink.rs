use std::{
    fmt::{self, Write},
    future::poll_fn,
    mem,
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use crate::{event::Event, sync::lock};

use super::sink::Sink;

/// Keeps every event in memory, for assertions in unit tests.
///
/// Clones share the events: pass one clone to the layer and keep the other.
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
    state: Arc<Mutex<MockState>>,
}

#[derive(Default)]
struct MockState {
    events: Vec<Arc<Event>>,
    wakers: Vec<Waker>,
}

/// The longest time that [`MockSink::wait_for`] waits.
const TIMEOUT: Duration = Duration::from_secs(10);

impl MockSink {
    /// Creates a sink without events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns all events so far, in the order in which they were emitted.
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.state().events.clone()
    }

    /// Returns the only event.
    ///
    /// # Panics
    ///
    /// Panics if there is no event, or more than one. The message lists all events.
    #[track_caller]
    pub fn single(&self) -> Arc<Event> {
        let events = self.events();
        match events.as_slice() {
            [event] => Arc::clone(event),
            _ => fail("expected exactly 1 event", &events),
        }
    }

    /// Returns the first event that matches a predicate.
    ///
    /// # Panics
    ///
    /// Panics if no event matches. The message lists all events.
    #[track_caller]
    pub fn find(&self, predicate: impl Fn(&Event) -> bool) -> Arc<Event> {
        let events = self.events();
        match events.iter().find(|event| predicate(event)) {
            Some(event) => Arc::clone(event),
            None => fail("expected an event that matches the predicate", &events),
        }
    }

    /// Waits until there are at least `count` events, and returns all of them.
    ///
    /// This works on any runtime, and with tokio's paused clock.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer events after 10 seconds. The message lists all events.
    pub async fn wait_for(&self, count: usize) -> Vec<Arc<Event>> {
        let deadline = Instant::now() + TIMEOUT;
        let mut has_alarm = false;
        poll_fn(|context| {
            let mut state = self.state();
            if state.events.len() >= count {
                return Poll::Ready(state.events.clone());
            }
            if Instant::now() >= deadline {
                let events = state.events.clone();
                drop(state);
                fail(&format!("expected at least {count} events within {TIMEOUT:?}"), &events);
            }
            state.wakers.push(context.waker().clone());
            if !mem::replace(&mut has_alarm, true) {
                self.wake_after(TIMEOUT);
            }
            Poll::Pending
        })
        .await
    }

    /// Removes all events.
    pub fn clear(&self) {
        self.state().events.clear();
    }

    fn state(&self) -> MutexGuard<'_, MockState> {
        lock(&self.state)
    }

    /// Wakes all waiting tasks after a time, so that they notice their deadline.
    fn wake_after(&self, time: Duration) {
        let sink = self.clone();
        thread::spawn(move || {
            thread::sleep(time);
            sink.wake();
        });
    }

    fn wake(&self) {
        let wakers = mem::take(&mut self.state().wakers);
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[track_caller]
#[allow(clippy::panic, reason = "this is an assertion of a test")]
fn fail(expectation: &str, events: &[Arc<Event>]) -> ! {
    let mut message = format!("{expectation}, found {}", events.len());
    message.push_str(match events {
        [] => "; an event is emitted once the response body has been read to its end or dropped",
        _ => ":",
    });
    for event in events {
        // Writing to a string does not fail.
        let _ = write!(message, "\n  {}", Summary(event));
    }
    panic!("{message}")
}

/// One line on an event: what identifies it in the list of a failed assertion.
struct Summary<'a>(&'a Event);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        write!(f, "{} {}", event.method(), event.path())?;
        if let Some(status) = event.status() {
            write!(f, " -> {}", status.as_u16())?;
        }
        write!(f, ", {}", event.outcome())?;
        if let Some(error) = event.error() {
            write!(f, " ({error})")?;
        }
        write!(f, ", metadata: {:?}", event.metadata())?;
        let diagnostics = event.diagnostics();
        if !diagnostics.is_empty() {
            write!(f, ", diagnostics: {diagnostics:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for MockSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.events()).finish()
    }
}

impl Sink for MockSink {
    fn emit(&self, event: Arc<Event>) {
        self.state().events.push(event);
        self.wake();
    }

    fn name(&self) -> &'static str {
        "mock"
    }
}
