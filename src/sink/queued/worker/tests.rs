use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::sink::spool_report::SpoolReport;

use super::{
    super::{
        backlog::{Backlog, Problem},
        bounds::Bounds,
        test_backlog::{TestBacklog, events},
        write_error::WriteError,
    },
    *,
};

fn pipeline(backlog: Option<Arc<dyn Backlog>>) -> Arc<Pipeline> {
    Arc::new(Pipeline::new("test".to_owned(), Bounds::default(), Arc::new(|_| {}), backlog))
}

/// Returns a worker that retries at once.
fn worker<W: BatchWriter>(pipeline: &Pipeline, writer: W) -> Worker<'_, W> {
    let policy = RetryPolicy::new().max_delay(Duration::from_millis(1)).min_delay(Duration::from_millis(1));
    Worker { pipeline, writer, policy, circuit: Circuit::new(policy), dead_letters: None, failed_closing: false }
}

/// A writer of at most two events per attempt that fails in different ways.
#[derive(Default)]
struct Script {
    written: Vec<String>,
    rejects: &'static [&'static str],
    panics: &'static [&'static str],
    is_final_after: Option<usize>,
    is_down: bool,
}

impl BatchWriter for Script {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        if self.is_down {
            return Err(WriteError::retryable("down"));
        }
        if let Some(written) = self.is_final_after {
            return Err(WriteError::new("broken").after(written));
        }
        assert!(!events.iter().any(|event| self.panics.contains(&event.path())), "bad event");
        if events.iter().any(|event| self.rejects.contains(&event.path())) {
            return Err(WriteError::rejected("bad event"));
        }
        if events.len() > 2 {
            self.written.extend(events.iter().take(2).map(|event| event.path().to_owned()));
            return Err(WriteError::retryable("slow down").after(2));
        }
        self.written.extend(events.iter().map(|event| event.path().to_owned()));
        Ok(())
    }
}

#[test]
fn writes_each_event_once_and_drops_only_bad_ones() {
    let pipeline = pipeline(None);
    let script = Script { rejects: &["3"], panics: &["6"], ..Script::default() };
    let mut worker = worker(&pipeline, script);
    assert!(worker.deliver(&events(9), Source::Memory));
    assert_eq!(worker.writer.written, ["0", "1", "2", "4", "5", "7", "8"]);
    let report = pipeline.counts().report("test");
    assert_eq!(report.delivered, 7);
    assert_eq!((report.dropped_for(DropReason::Rejected), report.dropped_for(DropReason::Panicked)), (1, 1));
}

#[test]
fn counts_no_more_events_than_the_batch_has() {
    for (written, delivered) in [(2, 2), (100, 5)] {
        let pipeline = pipeline(None);
        let mut worker = worker(&pipeline, Script { is_final_after: Some(written), ..Script::default() });
        assert!(worker.deliver(&events(5), Source::Memory));
        let report = pipeline.counts().report("test");
        assert_eq!((report.delivered, report.dropped_for(DropReason::WriteFailed)), (delivered, 5 - delivered));
    }
}

#[test]
fn spills_a_batch_once_the_destination_is_unavailable() {
    let backlog = TestBacklog::new(100);
    let pipeline = pipeline(Some(Arc::<TestBacklog>::clone(&backlog)));
    let mut worker = worker(&pipeline, Script { is_down: true, ..Script::default() });
    assert!(!worker.deliver(&events(3), Source::Memory));
    assert_eq!(backlog.paths(), ["0", "1", "2"]);
    let report = pipeline.counts().report("test");
    assert_eq!((report.delivered, report.dropped()), (0, 0));
}

#[test]
fn retries_the_events_that_the_backlog_refuses() {
    let backlog = TestBacklog::new(2);
    let pipeline = pipeline(Some(Arc::<TestBacklog>::clone(&backlog)));
    let events = events(5);
    let mut batch = Batch::new(&events, Source::Memory);
    let next = batch.spill_rest(1, pipeline.spill().unwrap(), false);
    assert!(matches!(next, Next::Retry(3)) && batch.refused.is_some());
    assert_eq!(backlog.paths(), ["1", "2"]);
}

/// A backlog that seems to be usable whenever it is repaired, and refuses each event.
#[derive(Debug, Default)]
struct Flapping {
    repairs: AtomicU64,
}

impl Backlog for Flapping {
    fn takes_all(&self) -> bool {
        true
    }

    fn waiting(&self) -> u64 {
        0
    }

    fn is_full(&self) -> bool {
        false
    }

    fn append(&self, _: &Event) -> Result<(), DropReason> {
        Err(DropReason::SpoolFailed)
    }

    fn repair_and_append(&self, event: &Event) -> Result<(), DropReason> {
        self.append(event)
    }

    fn read(&self, _: &mut Vec<Arc<Event>>, _: usize) -> u64 {
        0
    }

    fn commit(&self, _: usize) {}

    fn is_writable(&self) -> bool {
        true
    }

    fn problem(&self) -> Option<Problem> {
        None
    }

    fn check(&self) {}

    fn is_repair_due(&self) -> bool {
        false
    }

    fn repair(&self) {
        self.repairs.fetch_add(1, SeqCst);
    }

    fn recoveries(&self) -> u64 {
        self.repairs.load(SeqCst)
    }

    fn report(&self) -> SpoolReport {
        SpoolReport::default()
    }
}

/// A writer that is unavailable for a number of attempts.
struct DownFor(u32);

impl BatchWriter for DownFor {
    fn write(&mut self, _: &[Arc<Event>]) -> Result<(), WriteError> {
        self.0 = self.0.saturating_sub(1);
        if self.0 > 0 { Err(WriteError::retryable("down")) } else { Ok(()) }
    }
}

#[test]
fn pauses_before_a_batch_is_spilled_again() {
    for events_in_batch in [1, 3] {
        let backlog = Arc::new(Flapping::default());
        let pipeline = pipeline(Some(Arc::<Flapping>::clone(&backlog)));
        let mut worker = worker(&pipeline, DownFor(5));
        // The third and fourth failures open the circuit for 160 to 480 milliseconds.
        let delay = Duration::from_millis(80);
        worker.circuit = Circuit::new(RetryPolicy::new().min_delay(delay).max_delay(delay));
        let started = Instant::now();
        assert!(worker.deliver(&events(events_in_batch), Source::Memory));
        let pauses = u64::try_from(started.elapsed().as_millis()).unwrap() / 20;
        let repairs = backlog.recoveries();
        assert!((2..=pauses + 10).contains(&repairs), "{repairs} repairs in the time of {pauses} pauses");
        let report = pipeline.counts().report("test");
        assert_eq!((report.delivered, report.dropped()), (events_in_batch as u64, 0));
        assert!(report.retried <= (repairs + 4) * events_in_batch as u64, "{report}");
    }
}
