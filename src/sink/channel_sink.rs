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
    counts::Counts, delivery::Delivery, delivery_source::DeliverySource, drop_reason::DropReason, sink::Sink,
    sink_report::SinkReport,
};

/// Sends events into a bounded `tokio::sync::mpsc` channel.
///
/// Any task of the service can receive them.
///
/// An event counts as delivered once the channel has accepted it. If the channel is full, the event is dropped as
/// [`DropReason::QueueFull`]. If the receiver is gone, it is dropped as [`DropReason::Closed`].
///
/// The channel closes when the last layer with this sink is dropped. The receiver then returns `None`.
///
/// To count an event only once your task is done with it, implement [`DeliverySource`] for a sink of your own.
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
    state: Arc<ChannelState>,
}

#[derive(Debug, Default)]
struct ChannelState {
    counts: Counts,
    is_closed: AtomicBool,
}

impl ChannelSink {
    /// Creates a channel that holds up to `capacity` events, and returns its receiver.
    ///
    /// # Panics
    ///
    /// Panics if `capacity` is 0.
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
        let ChannelState { counts, is_closed } = &*self.state;
        counts.accept();
        if is_closed.load(Ordering::Relaxed) {
            return counts.drop_for(DropReason::Closed, 1);
        }
        match self.sender.try_send(event) {
            Ok(()) => counts.deliver(1),
            Err(TrySendError::Full(_)) => counts.drop_for(DropReason::QueueFull, 1),
            Err(TrySendError::Closed(_)) => counts.drop_for(DropReason::Closed, 1),
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery::from(Arc::clone(&self.state))
    }

    fn name(&self) -> &'static str {
        "channel"
    }
}

impl DeliverySource for ChannelState {
    fn report(&self) -> Option<SinkReport> {
        Some(self.counts.report("channel"))
    }

    fn close(&self, _deadline: Instant) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}
