use std::{
    collections::VecDeque,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    event::{Event, EventPool},
    sink::{drop_reason::DropReason, isolated::Isolated, sink_report::MAX_ERROR_CHARS},
    text::truncated,
};

use super::{
    batch_writer::BatchWriter,
    bisection::Bisection,
    circuit::Circuit,
    failure::Failure,
    pipeline::{Pipeline, Source},
    retry_policy::RetryPolicy,
    spill::Spill,
    write_error_kind::WriteErrorKind,
};

/// The interval at which new events are spilled while the destination is unavailable.
const SPILL_INTERVAL: Duration = Duration::from_millis(20);
/// The longest delay between attempts once the queue is closed and its last events drain.
const MAX_CLOSING_DELAY: Duration = Duration::from_millis(200);

/// The reason that events are dropped without a last attempt.
const OUT_OF_TIME: &str = "no time was left for another attempt";

/// The start of the names of delivery threads.
const THREAD_PREFIX: &str = "tagging ";

/// Returns `true` on a thread that delivers events.
pub(super) fn is_delivery_thread() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with(THREAD_PREFIX))
}

/// Starts the thread that writes the events of a pipeline.
pub(super) fn spawn(
    pipeline: &Arc<Pipeline>,
    writer: impl BatchWriter,
    policy: RetryPolicy,
    dead_letters: Option<Isolated>,
) {
    let shared = Arc::clone(pipeline);
    let run = move || {
        Worker {
            pipeline: &shared,
            writer,
            policy,
            circuit: Circuit::new(policy),
            dead_letters,
            failed_closing: false,
        }
        .run();
    };
    match thread::Builder::new().name(format!("{THREAD_PREFIX}{}", pipeline.name())).spawn(run) {
        Ok(thread) => pipeline.worker_started(thread),
        Err(error) => {
            tracing::error!(
                target: "tower_tagging::delivery",
                sink = pipeline.name(),
                %error,
                "cannot start the delivery thread, all events will be dropped"
            );
            pipeline.worker_ended();
        }
    }
}

/// Reports the end of the worker, even by a panic.
struct NotifyOnExit<'a>(&'a Pipeline);

impl Drop for NotifyOnExit<'_> {
    fn drop(&mut self) {
        self.0.worker_ended();
    }
}

struct Worker<'a, W> {
    pipeline: &'a Pipeline,
    writer: W,
    policy: RetryPolicy,
    circuit: Circuit,
    dead_letters: Option<Isolated>,
    /// An attempt failed since the queue was closed.
    failed_closing: bool,
}

/// A batch on its way to the writer.
struct Batch<'a> {
    events: &'a [Arc<Event>],
    source: Source,
    /// The events that are still to be written.
    ranges: Bisection,
    first_attempt: Option<Instant>,
    /// The recoveries of the backlog by the time it refused an event of the batch.
    refused: Option<u64>,
    /// The events from this index on were left to the backlog.
    left: Option<usize>,
}

impl<'a> Batch<'a> {
    fn new(events: &'a [Arc<Event>], source: Source) -> Self {
        let ranges = Bisection::new(events.len());
        Self { events, source, ranges, first_attempt: None, refused: None, left: None }
    }

    fn get(&self, range: Range<usize>) -> &'a [Arc<Event>] {
        self.events.get(range).unwrap_or_default()
    }

    /// Returns `true` if the backlog refused the batch and is writable again.
    fn is_refused_no_more(&self, spill: &Spill) -> bool {
        self.refused.is_some_and(|recoveries| recoveries != spill.backlog().recoveries())
    }

    /// Spills the events from an index on, and all of memory after them, unless they would come after newer ones and must not
    /// be late.
    fn spill_rest(&mut self, start: usize, spill: &Spill, may_be_late: bool) -> Next {
        let rest = self.get(start..self.events.len());
        match spill.spill_batch(rest, may_be_late) {
            Some(spilled) if spilled == rest.len() => Next::Spill(self.events.len()),
            Some(spilled) => {
                self.refused = Some(spill.backlog().recoveries());
                Next::Retry(start + spilled)
            }
            None => Next::Retry(start),
        }
    }
}

/// The result of writing a range of a batch.
enum Attempt {
    /// The number of events that were written.
    Written(usize),
    Failed(Failure),
    /// No attempt was made, because the queue is closed and there is no time for one.
    OutOfTime,
}

/// The fate of a batch, from an index on, after a retryable failure.
enum Next {
    Retry(usize),
    Spill(usize),
    Drop(usize),
}

impl<W: BatchWriter> Worker<'_, W> {
    fn run(mut self) {
        let _notify = NotifyOnExit(self.pipeline);
        let (mut events, mut buffer) = (Vec::new(), VecDeque::new());
        while let Some(source) = self.pipeline.next_batch(&mut events, &mut buffer) {
            let is_settled = self.deliver(&events, source);
            self.pipeline.notify_of_drops();
            EventPool::give_back_all(&mut events);
            if !is_settled && source == Source::Backlog && self.pipeline.queue().is_closed() {
                // The next process delivers what is left on disk.
                break;
            }
        }
        // Writers flush in `Drop`, which is user code. The exit is reported after that.
        let writer = self.writer;
        let _ = catch_unwind(AssertUnwindSafe(|| drop(writer)));
    }

    /// Writes, drops, or spills each event of a batch. Returns `false` if some were left to the backlog.
    fn deliver(&mut self, events: &[Arc<Event>], source: Source) -> bool {
        let mut batch = Batch::new(events, source);
        while let Some(range) = batch.ranges.next() {
            let attempt = self.attempt(range.clone(), &mut batch);
            self.settle(attempt, range, &mut batch);
        }
        if let (Some(spill), Source::Backlog) = (self.pipeline.spill(), source) {
            spill.backlog().commit(batch.left.unwrap_or(events.len()));
        }
        batch.left.is_none()
    }

    /// Writes a range of a batch once it is time for an attempt.
    fn attempt(&mut self, range: Range<usize>, batch: &mut Batch<'_>) -> Attempt {
        if !self.wait_for_turn(batch) {
            return Attempt::OutOfTime;
        }
        batch.first_attempt.get_or_insert_with(Instant::now);
        let events = batch.get(range);
        self.pipeline.health.set_busy(true);
        let result = catch_unwind(AssertUnwindSafe(|| self.writer.write(events)));
        self.pipeline.health.set_busy(false);
        let failure = match result {
            Ok(Ok(())) => return Attempt::Written(events.len()),
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::panic(),
        };
        self.pipeline.health.set_last_error(truncated(&failure.to_string(), MAX_ERROR_CHARS).to_owned());
        Attempt::Failed(failure)
    }

    /// Sleeps until the next attempt is due. Returns `false` if the queue is closed and there is no time for one.
    fn wait_for_turn(&self, batch: &Batch<'_>) -> bool {
        let queue = self.pipeline.queue();
        loop {
            let now = Instant::now();
            let left = self.circuit.delay(now);
            if left.is_zero() {
                return true;
            }
            match queue.deadline() {
                // One more attempt. After that, events on disk wait for the next process.
                Some(_) if self.usable_spill(batch).is_some() => return !self.failed_closing,
                Some(deadline) if now >= deadline => return false,
                Some(_) => {
                    thread::sleep(left.min(MAX_CLOSING_DELAY));
                    return true;
                }
                None => {
                    if let Some(spill) = self.pipeline.spill() {
                        spill.repair();
                    }
                    // Also before the batch is spilled again, so that a backlog that is usable only now and then costs little.
                    queue.pause(left.min(SPILL_INTERVAL));
                    if let Some(spill) = self.pipeline.spill()
                        && batch.is_refused_no_more(spill)
                        && self.may_spill(spill)
                    {
                        return false;
                    }
                }
            }
        }
    }

    /// Returns the spill if the batch is, or can be made, safe on disk.
    fn usable_spill(&self, batch: &Batch<'_>) -> Option<&Spill> {
        let is_usable = |spill: &&Spill| {
            batch.source == Source::Backlog || batch.refused.is_none() || batch.is_refused_no_more(spill)
        };
        self.pipeline.spill().filter(is_usable)
    }

    /// Counts what an attempt has settled, and decides on the rest of its range.
    fn settle(&mut self, attempt: Attempt, mut range: Range<usize>, batch: &mut Batch<'_>) {
        let counts = self.pipeline.counts();
        let failure = match attempt {
            Attempt::Written(events) => {
                counts.deliver(events);
                return self.succeed();
            }
            Attempt::OutOfTime => return self.retry(range, None, batch),
            Attempt::Failed(failure) => failure,
        };
        let written = failure.written.min(range.len());
        counts.deliver(written);
        range.start += written;
        if range.is_empty() {
            return;
        }
        match failure.kind {
            WriteErrorKind::Final => self.drop_failed(range.len(), Some(&failure)),
            WriteErrorKind::Rejected => {
                self.succeed();
                self.isolate(range, &failure, batch);
            }
            WriteErrorKind::PartlyRejected => {
                self.succeed();
                self.accept_partly(range.len(), &failure);
            }
            WriteErrorKind::Retryable => {
                self.fail(&failure);
                self.retry(range, Some(&failure), batch);
            }
        }
    }

    /// Records that the destination is available.
    fn succeed(&mut self) {
        if self.circuit.succeed() {
            self.pipeline.health.set_unavailable(false);
            tracing::info!(target: "tower_tagging::delivery", sink = self.pipeline.name(), "sink is available again");
        }
    }

    /// Records that the destination did not accept events.
    fn fail(&mut self, failure: &Failure) {
        self.failed_closing |= self.pipeline.queue().is_closed();
        if self.circuit.fail(Instant::now()) {
            self.pipeline.health.set_unavailable(true);
            tracing::warn!(
                target: "tower_tagging::delivery",
                sink = self.pipeline.name(),
                error = %failure,
                "sink is unavailable, events are waiting"
            );
        }
    }

    /// Splits a range with an event that cannot be stored, or drops that event once it is alone.
    fn isolate(&self, range: Range<usize>, failure: &Failure, batch: &mut Batch<'_>) {
        match batch.get(range.clone()) {
            [event] => self.reject(event, failure),
            _ => batch.ranges.split(range),
        }
    }

    fn reject(&self, event: &Arc<Event>, failure: &Failure) {
        let reason = if failure.is_panic { DropReason::Panicked } else { DropReason::Rejected };
        self.pipeline.counts().drop_for(reason, 1);
        tracing::error!(
            target: "tower_tagging::delivery",
            sink = self.pipeline.name(),
            dropped = 1,
            reason = reason.as_str(),
            id = %event.id(),
            error = %failure,
            "event was dropped"
        );
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.emit(Arc::clone(event));
        }
    }

    /// Counts events of which the destination dropped some.
    fn accept_partly(&self, events: usize, failure: &Failure) {
        let rejected = failure.rejected.min(events);
        self.pipeline.counts().drop_for(DropReason::Rejected, rejected);
        self.pipeline.counts().deliver(events - rejected);
        if rejected == 0 {
            tracing::warn!(
                target: "tower_tagging::delivery",
                sink = self.pipeline.name(),
                error = %failure,
                "destination accepted events with a warning"
            );
            return;
        }
        tracing::error!(
            target: "tower_tagging::delivery",
            sink = self.pipeline.name(),
            dropped = rejected,
            reason = DropReason::Rejected.as_str(),
            error = %failure,
            "events were dropped"
        );
    }

    /// Retries, spills, or drops a range and all that comes after it.
    fn retry(&self, range: Range<usize>, failure: Option<&Failure>, batch: &mut Batch<'_>) {
        match self.next(range.start, batch) {
            Next::Retry(start) if start == range.start => {
                self.pipeline.counts().retry(range.len());
                batch.ranges.retry(range);
            }
            Next::Retry(start) => batch.ranges.restart(start),
            Next::Spill(start) => {
                batch.left = Some(start);
                batch.ranges.stop();
            }
            Next::Drop(start) => {
                self.drop_failed(batch.events.len() - start, failure);
                batch.ranges.stop();
            }
        }
    }

    fn next(&self, start: usize, batch: &mut Batch<'_>) -> Next {
        let is_closed = self.pipeline.queue().is_closed();
        match (self.usable_spill(batch), batch.source) {
            (Some(_), Source::Backlog) if is_closed => Next::Spill(start),
            // If newer events are waiting in the backlog, these stay in memory and go first.
            (Some(spill), Source::Memory) if is_closed || self.may_spill(spill) => {
                // If every event belongs into the backlog, its safety comes before the order.
                batch.spill_rest(start, spill, is_closed || spill.backlog().takes_all())
            }
            (None, _) if self.is_out_of_time(batch) => Next::Drop(start),
            _ => Next::Retry(start),
        }
    }

    /// Returns `true` if the destination is unavailable, and the backlog has no events that would be overtaken.
    fn may_spill(&self, spill: &Spill) -> bool {
        self.circuit.is_open() && (spill.backlog().waiting() == 0 || spill.backlog().takes_all())
    }

    fn is_out_of_time(&self, batch: &Batch<'_>) -> bool {
        let now = Instant::now();
        let retry_deadline = batch.first_attempt.and_then(|first| self.policy.deadline(first));
        [retry_deadline, self.pipeline.queue().deadline()].into_iter().flatten().any(|deadline| now >= deadline)
    }

    fn drop_failed(&self, dropped: usize, failure: Option<&Failure>) {
        self.pipeline.counts().drop_for(DropReason::WriteFailed, dropped);
        tracing::error!(
            target: "tower_tagging::delivery",
            sink = self.pipeline.name(),
            dropped,
            reason = DropReason::WriteFailed.as_str(),
            error = failure.map_or_else(|| OUT_OF_TIME.to_owned(), Failure::to_string),
            "events were dropped"
        );
    }
}

#[cfg(test)]
mod tests;
