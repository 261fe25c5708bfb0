use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use crate::event::{Event, EventPool};

use super::{super::DropReason, BatchWriter, WriteError, queue::Queue};

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

/// Says that the worker has ended, however it did.
struct Ends<'a>(&'a Queue);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.worker_ended();
    }
}

fn run(queue: &Queue, mut writer: impl BatchWriter, max_delay: Duration) {
    let _ends = Ends(queue);
    let mut batch: Vec<Arc<Event>> = Vec::new();
    while queue.next_batch(&mut batch, max_delay) {
        let written = catch_unwind(AssertUnwindSafe(|| writer.write(&batch)));
        let (delivered, reason) = match &written {
            Ok(Ok(())) => (batch.len(), DropReason::WriteFailed),
            Ok(Err(error)) => (error.written().min(batch.len()), DropReason::WriteFailed),
            Err(_) => (0, DropReason::Panicked),
        };
        let dropped = batch.len() - delivered;
        queue.counts.deliver(delivered);
        queue.counts.drop_for(reason, dropped);
        if dropped > 0 {
            // The subscriber and the error's own text are the user's code, and may panic.
            let _ = catch_unwind(AssertUnwindSafe(|| log_failure(queue.name(), dropped, written)));
        }
        queue.observe_drops(false);
        batch.drain(..).for_each(EventPool::give_back);
    }
    // The writer flushes in its `Drop`, before anybody is told that all is done. Its panic ends nothing but itself.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(writer)));
}

fn log_failure(sink: &str, dropped: usize, written: thread::Result<Result<(), WriteError>>) {
    if let Ok(Err(error)) = written {
        tracing::error!(target: "tower_tagging::delivery", sink, dropped, %error, "events were dropped");
    } else {
        tracing::error!(target: "tower_tagging::delivery", sink, dropped, "the writer panicked");
    }
}
