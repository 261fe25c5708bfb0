/// A notification that events were dropped because the queue of a sink was full.
///
/// See [`QueuedBuilder::on_queue_full`](super::QueuedBuilder::on_queue_full).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct QueueFull<'a> {
    /// Name of the sink.
    pub sink: &'a str,
    /// Events dropped since the last notification.
    pub dropped: u64,
}
