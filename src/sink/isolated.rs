use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use crate::event::Event;

use super::{
    counts::Counts, delivery::Delivery, delivery_source::DeliverySource, drop_reason::DropReason, sink::Sink,
    sink_report::SinkReport,
};

/// A sink whose panics are caught, and whose events are counted if it does not count them itself.
#[derive(Clone)]
pub(crate) struct Isolated {
    sink: Arc<dyn Sink>,
    tally: Arc<Tally>,
}

struct Tally {
    name: String,
    /// The sink reports its own counts, so that only events that it panicked at are counted here.
    panics_only: bool,
    counts: Counts,
    is_closed: AtomicBool,
}

impl Isolated {
    pub(crate) fn new(sink: impl Sink) -> Self {
        let tally = Tally {
            name: sink.name().to_owned(),
            panics_only: !sink.delivery().is_none(),
            counts: Counts::new(),
            is_closed: AtomicBool::new(false),
        };
        Self { sink: Arc::new(sink), tally: Arc::new(tally) }
    }

    pub(crate) fn name(&self) -> &str {
        self.sink.name()
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.sink.is_listening()
    }

    /// Passes the event on, unless the sink discards it.
    pub(crate) fn emit(&self, event: Arc<Event>) {
        if !self.sink.is_listening() {
            return;
        }
        let Tally { counts, panics_only, is_closed, .. } = &*self.tally;
        if !*panics_only {
            counts.accept();
            if is_closed.load(Ordering::Relaxed) {
                return counts.drop_for(DropReason::Closed, 1);
            }
        }
        match catch_unwind(AssertUnwindSafe(|| self.sink.emit(event))) {
            Ok(()) if *panics_only => {}
            Ok(()) => counts.deliver(1),
            Err(_) => {
                if *panics_only {
                    counts.accept();
                }
                counts.drop_for(DropReason::Panicked, 1);
            }
        }
    }

    pub(crate) fn delivery(&self) -> Delivery {
        Delivery::join([self.sink.delivery(), Delivery::from(Arc::clone(&self.tally))])
    }
}

impl fmt::Debug for Isolated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DeliverySource for Tally {
    fn report(&self) -> Option<SinkReport> {
        let report = self.counts.report(&self.name);
        (!self.panics_only || report.accepted > 0).then_some(report)
    }

    fn close(&self, _deadline: Instant) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    // Events are delivered on the threads that emit them.
    fn wait(&self, _deadline: Instant) {}
}
