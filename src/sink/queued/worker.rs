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
    sink::guarded::Guarded,
    text::cut_name,
};

use super::{
    super::DropReason,
    BatchWriter, RetryPolicy, WriteError, WriteErrorKind,
    queue::{Queue, Source},
    retry::Circuit,
};

/// Starts the thread that writes what is pushed to the queue.
pub(super) fn spawn(queue: &Arc<Queue>, writer: impl BatchWriter, policy: RetryPolicy, dead_letters: Option<Guarded>) {
    let name = format!("tagging {}", queue.name());
    let for_thread = Arc::clone(queue);
    let thread = thread::Builder::new().name(name).spawn(move || {
        let circuit = Circuit::new(policy);
        Worker {
            queue: &for_thread,
            writer,
            policy,
            circuit,
            dead_letters,
            begins_at: None,
            backlog_failed: false,
            failed_since_close: false,
        }
        .run();
    });
    match thread {
        Ok(thread) => queue.worker_spawned(thread),
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

struct Worker<'a, W> {
    queue: &'a Queue,
    writer: W,
    policy: RetryPolicy,
    circuit: Circuit,
    dead_letters: Option<Guarded>,
    /// The first attempt at the batch at hand.
    begins_at: Option<Instant>,
    /// The backlog did not take what is left of it.
    backlog_failed: bool,
    /// An attempt failed since the queue was closed.
    failed_since_close: bool,
}

/// What comes after a failure that may pass, and the first event that it is about.
enum Next {
    TryAgain(usize),
    /// The events before are settled, the others wait in the backlog.
    Leave(usize),
    GiveUp(usize),
}

/// Why no event of a range was written, or only the first ones.
enum Failure {
    Error(WriteError),
    Panic,
}

impl Failure {
    /// What it says, for reports.
    fn text(&self) -> String {
        match self {
            // The error's own text is the user's code, and may panic.
            Self::Error(error) => catch_unwind(AssertUnwindSafe(|| cut_name(error.to_string()))).unwrap_or_default(),
            Self::Panic => "the writer panicked".to_owned(),
        }
    }
}

impl<W: BatchWriter> Worker<'_, W> {
    fn run(mut self) {
        let _ends = Ends(self.queue);
        let (mut batch, mut taken) = (Vec::new(), VecDeque::new());
        while let Some(source) = self.queue.next_batch(&mut batch, &mut taken) {
            let is_settled = self.deliver(&batch, source);
            self.queue.drops.tell(self.queue.name(), false);
            EventPool::give_back_all(&mut batch);
            // What is left on the disk is for the next process.
            if !is_settled && source == Source::Backlog && self.queue.is_closed() {
                break;
            }
        }
        // The writer flushes in its `Drop`, before anybody is told that all is done. Its panic ends nothing but itself.
        let writer = self.writer;
        let _ = catch_unwind(AssertUnwindSafe(|| drop(writer)));
    }

    /// Settles the fate of each event of a batch; false when some of them were left to the backlog.
    fn deliver(&mut self, batch: &[Arc<Event>], source: Source) -> bool {
        self.begins_at = None;
        self.backlog_failed = false;
        // The ranges that are still to be written, the next one last.
        let mut todo = vec![Range { start: 0, end: batch.len() }];
        let mut settled = batch.len();
        let mut is_settled = true;
        while let Some(mut range) = todo.pop() {
            let events = batch.get(range.clone()).unwrap_or_default();
            if events.is_empty() {
                continue;
            }
            let failure = if self.wait_for_circuit(source) {
                match self.write(events) {
                    Ok(()) => {
                        self.queue.counts.deliver(events.len());
                        self.succeed();
                        continue;
                    }
                    Err(failure) => Some(failure),
                }
            } else {
                None
            };
            let (written, kind) = match &failure {
                Some(Failure::Error(error)) => (error.written().min(events.len()), error.kind()),
                // Which of them it panicked at is found as for one that is rejected.
                Some(Failure::Panic) => (0, WriteErrorKind::Rejected),
                None => (0, WriteErrorKind::Retryable),
            };
            self.queue.counts.deliver(written);
            range.start += written;
            let rest = batch.get(range.clone()).unwrap_or_default();
            match kind {
                _ if rest.is_empty() => {}
                WriteErrorKind::Final => {
                    self.queue.counts.drop_for(DropReason::WriteFailed, rest.len());
                    self.log(failure.as_ref(), rest.len(), None);
                }
                WriteErrorKind::Rejected => {
                    self.succeed();
                    if let [event] = rest {
                        self.reject(event, failure.as_ref());
                    } else {
                        let middle = range.start + rest.len() / 2;
                        todo.extend([middle..range.end, range.start..middle]);
                    }
                }
                WriteErrorKind::Retryable => {
                    if failure.is_some() {
                        self.failed_since_close |= self.queue.is_closed();
                        if self.circuit.fail(Instant::now()) {
                            self.queue.vitals.destination_is_away(true);
                            self.log(failure.as_ref(), 0, None);
                        }
                    }
                    match self.after_retryable(batch, range.start, source) {
                        Next::TryAgain(start) if start == range.start => {
                            self.queue.counts.retry(rest.len());
                            todo.push(range);
                        }
                        Next::TryAgain(start) => todo = vec![Range { start, end: batch.len() }],
                        Next::Leave(start) => {
                            (settled, is_settled) = (start, false);
                            break;
                        }
                        Next::GiveUp(start) => {
                            let dropped = batch.len() - start;
                            self.queue.counts.drop_for(DropReason::WriteFailed, dropped);
                            self.log(failure.as_ref(), dropped, None);
                            break;
                        }
                    }
                }
            }
        }
        if let (Some(backlog), Source::Backlog) = (self.queue.backlog(), source) {
            backlog.commit(settled);
        }
        is_settled
    }

    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), Failure> {
        self.begins_at.get_or_insert_with(Instant::now);
        self.queue.vitals.writer_is_busy(true);
        let written = catch_unwind(AssertUnwindSafe(|| self.writer.write(events)));
        self.queue.vitals.writer_is_busy(false);
        let failure = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Failure::Error(error),
            Err(_) => Failure::Panic,
        };
        self.queue.vitals.failed(failure.text());
        Err(failure)
    }

    fn succeed(&mut self) {
        if self.circuit.succeed() {
            self.queue.vitals.destination_is_away(false);
            let _ = catch_unwind(AssertUnwindSafe(|| {
                tracing::info!(target: "tower_tagging::delivery", sink = self.queue.name(), "the sink is available again");
            }));
        }
    }

    /// Whether what fails now is safe on the disk, or can be made so.
    fn has_backlog(&self, source: Source) -> bool {
        source == Source::Backlog || (self.queue.backlog().is_some() && !self.backlog_failed)
    }

    /// Sleeps until an attempt may be made; false when none will be, because the queue was closed meanwhile.
    fn wait_for_circuit(&self, source: Source) -> bool {
        loop {
            let now = Instant::now();
            let left = self.circuit.not_before.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
            if left.is_zero() {
                return true;
            }
            match self.queue.closes_at() {
                // One more attempt; then what is on the disk waits for the next process.
                Some(_) if self.has_backlog(source) => return !self.failed_since_close,
                Some(at) if now >= at => return false,
                // While the queue drains, delays are short.
                Some(_) => {
                    thread::sleep(left.min(DRAINING_DELAY));
                    return true;
                }
                None => {
                    self.queue.keep_memory_free();
                    self.queue.pause(left.min(MOVING_DELAY));
                }
            }
        }
    }

    fn after_retryable(&mut self, batch: &[Arc<Event>], start: usize, source: Source) -> Next {
        let is_closed = self.queue.is_closed();
        match (self.queue.backlog(), source) {
            (Some(_), Source::Backlog) if is_closed => return Next::Leave(start),
            (Some(_), Source::Backlog) => return Next::TryAgain(start),
            (Some(backlog), Source::Memory) if !self.backlog_failed => {
                // Where newer events wait on the disk, these stay in memory and go first.
                if is_closed || (self.circuit.is_open() && backlog.waiting() == 0) {
                    let taken = self.set_aside(batch.get(start..).unwrap_or_default());
                    if start + taken == batch.len() {
                        return Next::Leave(batch.len());
                    }
                    self.backlog_failed = true;
                    return Next::TryAgain(start + taken);
                }
                return Next::TryAgain(start);
            }
            _ => {}
        }
        let now = Instant::now();
        let deadline = self.begins_at.and_then(|begin| self.policy.deadline(begin));
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        if is_over(deadline) || is_over(self.queue.closes_at()) { Next::GiveUp(start) } else { Next::TryAgain(start) }
    }

    /// Leaves events to the backlog, and what is in memory after them. Returns how many of the events it took.
    fn set_aside(&self, events: &[Arc<Event>]) -> usize {
        let taken = events.iter().take_while(|event| self.queue.set_aside(event)).count();
        if taken == events.len() {
            self.queue.set_memory_aside();
        }
        taken
    }

    fn reject(&self, event: &Arc<Event>, failure: Option<&Failure>) {
        let reason = match failure {
            Some(Failure::Panic) => DropReason::Panicked,
            _ => DropReason::Rejected,
        };
        self.queue.counts.drop_for(reason, 1);
        self.log(failure, 1, Some(event));
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.emit(Arc::clone(event));
        }
    }

    /// Says why `dropped` events were dropped, or that the destination is away.
    fn log(&self, failure: Option<&Failure>, dropped: usize, event: Option<&Event>) {
        let sink = self.queue.name();
        let id = event.map(|event| tracing::field::display(event.id()));
        // The subscriber and the error's own text are the user's code, and may panic.
        let _ = catch_unwind(AssertUnwindSafe(|| match failure {
            Some(Failure::Error(error)) if dropped == 0 => {
                tracing::warn!(target: "tower_tagging::delivery", sink, %error, "the sink is unavailable: events wait");
            }
            Some(Failure::Error(error)) => {
                tracing::error!(target: "tower_tagging::delivery", sink, dropped, id, %error, "events were dropped");
            }
            Some(Failure::Panic) => {
                tracing::error!(target: "tower_tagging::delivery", sink, dropped, id, "the writer panicked");
            }
            None => {
                tracing::error!(target: "tower_tagging::delivery", sink, dropped, "the time to deliver events is over");
            }
        }));
    }
}

/// How often events that came while the destination is away are moved to the disk.
const MOVING_DELAY: Duration = Duration::from_millis(20);
/// Longest delay between attempts once a queue is closed and its last events drain.
const DRAINING_DELAY: Duration = Duration::from_millis(200);
