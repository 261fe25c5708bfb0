use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use crate::event::{Event, EventPool};

use super::{super::DropReason, BatchWriter, queue::Queue};

/// Starts the thread that writes what is pushed to the queue.
pub(super) fn spawn(queue: &Arc<Queue>, writer: impl BatchWriter, max_delay: Duration) {
    let name = format!("tagging {}", queue.name());
    let for_thread = Arc::clone(queue);
    let thread = thread::Builder::new().name(name).spawn(move || {
        for_thread.worker_started(thread::current());
        run(&for_thread, writer, max_delay);
    });
    match thread {
        Ok(thread) => queue.worker_started(thread.thread().clone()),
        Err(error) => {
            tracing::error!(
                target: "tower_tagging::delivery",
                sink = queue.name(),
                %error,
                "the system refused a thread: all events of this sink are dropped"
            );
            queue.worker_ended();
        }
    }
}

fn run(queue: &Queue, mut writer: impl BatchWriter, max_delay: Duration) {
    let mut batch: Vec<Arc<Event>> = Vec::new();
    while queue.next_batch(&mut batch, max_delay) {
        let written = catch_unwind(AssertUnwindSafe(|| writer.write(&batch)));
        let (delivered, reason) = match written {
            Ok(Ok(())) => (batch.len(), DropReason::WriteFailed),
            Ok(Err(error)) => {
                tracing::error!(target: "tower_tagging::delivery", sink = queue.name(), %error, "events were dropped");
                (error.written().min(batch.len()), DropReason::WriteFailed)
            }
            Err(_) => {
                tracing::error!(target: "tower_tagging::delivery", sink = queue.name(), "the writer panicked");
                (0, DropReason::Panicked)
            }
        };
        queue.counts.deliver(delivered);
        queue.counts.drop_for(reason, batch.len() - delivered);
        batch.drain(..).for_each(EventPool::give_back);
    }
    // The writer flushes in its `Drop`, before anybody is told that all is done.
    drop(writer);
    queue.worker_ended();
}
