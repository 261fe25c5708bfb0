use std::{
    thread,
    time::{Duration, Instant},
};

use super::sink_report::SinkReport;

/// The interval at which [`DeliverySource::wait`] looks at the report by default.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// The background half of one sink: its counts, and how it stops.
///
/// Implement this for a sink that passes events on and delivers them later, such as one with an `async` task, so that
/// it takes part in the counts and the shutdown of a [`Delivery`](super::Delivery). A sink that only needs a thread is
/// better served by [`Queued`](super::Queued), which does all of this.
///
/// [`Counts`](super::Counts) does the counting. The default [`wait`](Self::wait) is sufficient for a sink whose events
/// are all delivered or dropped at some time.
///
/// # Examples
///
/// A sink that sends events over a tokio channel to a task, which delivers them:
///
/// ```
/// use std::{
///     sync::{Arc, atomic::{AtomicBool, Ordering::SeqCst}},
///     time::{Duration, Instant},
/// };
/// use tokio::sync::mpsc;
/// use tower_tagging::{
///     EventLayer, Sink,
///     event::Event,
///     sink::{Counts, Delivery, DeliverySource, DropReason, SinkReport},
/// };
///
/// struct Webhook {
///     sender: mpsc::Sender<Arc<Event>>,
///     state: Arc<State>,
/// }
///
/// #[derive(Default)]
/// struct State {
///     counts: Counts,
///     is_closed: AtomicBool,
/// }
///
/// impl Webhook {
///     fn spawn() -> Self {
///         let (sender, mut events) = mpsc::channel::<Arc<Event>>(1024);
///         let state = Arc::new(State::default());
///         let shared = Arc::clone(&state);
///         tokio::spawn(async move {
///             while let Some(event) = events.recv().await {
///                 // client.post(url).json(&*event).send().await, then:
///                 shared.counts.deliver(1);
///             }
///         });
///         Self { sender, state }
///     }
/// }
///
/// impl Sink for Webhook {
///     fn emit(&self, event: Arc<Event>) {
///         let State { counts, is_closed } = &*self.state;
///         counts.accept();
///         if is_closed.load(SeqCst) {
///             counts.drop_for(DropReason::Closed, 1);
///         } else if self.sender.try_send(event).is_err() {
///             counts.drop_for(DropReason::QueueFull, 1);
///         }
///     }
///
///     fn delivery(&self) -> Delivery {
///         Delivery::from(Arc::clone(&self.state))
///     }
/// }
///
/// impl DeliverySource for State {
///     fn report(&self) -> Option<SinkReport> {
///         Some(self.counts.report("webhook"))
///     }
///
///     fn close(&self, _deadline: Instant) {
///         self.is_closed.store(true, SeqCst);
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let layer = EventLayer::new(Webhook::spawn());
/// let delivery = layer.delivery();
/// // … serve requests through the layer, then:
/// let report = delivery.shutdown(Duration::from_secs(5)).await;
/// assert!(report.is_complete(), "{report}");
/// # }
/// ```
pub trait DeliverySource: Send + Sync + 'static {
    /// Returns the current counts, or `None` for a source without its own events.
    fn report(&self) -> Option<SinkReport>;

    /// Stops accepting events and starts to deliver those that are waiting. Returns immediately.
    ///
    /// Delivery should be attempted until the deadline. A source can be closed more than once; the latest deadline
    /// applies. Events that are emitted later are dropped as [`DropReason::Closed`](super::DropReason::Closed).
    fn close(&self, deadline: Instant);

    /// Blocks until nothing is left to deliver, or until the deadline.
    ///
    /// [`Delivery::shutdown`](super::Delivery::shutdown) calls this on a dedicated thread, so an `async` task can make
    /// progress meanwhile. [`Delivery::shutdown_blocking`](super::Delivery::shutdown_blocking) calls it on the calling
    /// thread.
    ///
    /// By default this checks the [report](Self::report) every five milliseconds until no events are in flight.
    fn wait(&self, deadline: Instant) {
        while self.report().is_some_and(|report| report.in_flight() > 0) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(CHECK_INTERVAL));
        }
    }
}
