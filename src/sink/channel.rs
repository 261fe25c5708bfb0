use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::mpsc::{self, error::TrySendError};

use crate::event::Event;

use super::{
    Delivery, DropReason, Sink, SinkReport,
    delivery::{Counts, Part},
};

/// Sends events into a bounded `tokio::sync::mpsc` channel, for a task of yours to receive.
///
/// An event counts as delivered when the channel took it. One that finds the channel full is dropped as
/// [`DropReason::QueueFull`], one that finds the receiver gone as [`DropReason::Closed`].
///
/// The channel closes when the last layer with this sink is dropped, which is when the receiver gets its last `None`.
///
/// ```
/// use tower_tagging::{EventLayer, sink::ChannelSink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (sink, mut events) = ChannelSink::new(1024);
/// let layer = EventLayer::new(sink);
/// tokio::spawn(async move {
///     while let Some(event) = events.recv().await {
///         println!("{} {}", event.path(), event.outcome());
///     }
/// });
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ChannelSink {
    sender: mpsc::Sender<Arc<Event>>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    closed: AtomicBool,
}

impl ChannelSink {
    /// A channel that holds at most `capacity` events, and its receiver.
    ///
    /// # Panics
    /// When `capacity` is 0, like the channel itself.
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Arc<Event>>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self::from(sender), receiver)
    }
}

impl From<mpsc::Sender<Arc<Event>>> for ChannelSink {
    fn from(sender: mpsc::Sender<Arc<Event>>) -> Self {
        Self { sender, state: Arc::default() }
    }
}

impl Sink for ChannelSink {
    fn emit(&self, event: Arc<Event>) {
        let State { counts, closed } = &*self.state;
        counts.accept();
        if closed.load(Ordering::Relaxed) {
            return counts.drop_for(DropReason::Closed, 1);
        }
        match self.sender.try_send(event) {
            Ok(()) => counts.deliver(1),
            Err(TrySendError::Full(_)) => counts.drop_for(DropReason::QueueFull, 1),
            Err(TrySendError::Closed(_)) => counts.drop_for(DropReason::Closed, 1),
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery::of(Arc::clone(&self.state) as _)
    }

    fn name(&self) -> &'static str {
        "channel"
    }
}

impl Part for State {
    fn report(&self) -> Option<SinkReport> {
        Some(self.counts.report("channel"))
    }

    fn close(&self, _deadline: Instant) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn wait(&self, _deadline: Instant) {}
}
