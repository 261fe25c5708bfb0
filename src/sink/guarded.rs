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
    Sink,
    delivery::{Counts, Delivery, DropReason, Part, SinkReport},
};

/// A sink whose panics go no further, with the counts of a sink that keeps none.
#[derive(Clone)]
pub(crate) struct Guarded {
    sink: Arc<dyn Sink>,
    own: Arc<OwnCounts>,
}

struct OwnCounts {
    name: String,
    /// The sink counts for itself, so that only what never got that far is counted here.
    only_panics: bool,
    counts: Counts,
    closed: AtomicBool,
}

impl Guarded {
    pub(crate) fn new(sink: impl Sink) -> Self {
        let own = OwnCounts {
            name: sink.name().to_owned(),
            only_panics: !sink.delivery().is_none(),
            counts: Counts::default(),
            closed: AtomicBool::new(false),
        };
        Self { sink: Arc::new(sink), own: Arc::new(own) }
    }

    pub(crate) fn name(&self) -> &str {
        self.sink.name()
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.sink.is_listening()
    }

    pub(crate) fn emit(&self, event: Arc<Event>) {
        let OwnCounts { counts, only_panics, .. } = &*self.own;
        if !*only_panics {
            counts.accept();
            if self.own.closed.load(Ordering::Relaxed) {
                return counts.drop_for(DropReason::Closed, 1);
            }
        }
        match catch_unwind(AssertUnwindSafe(|| self.sink.emit(event))) {
            Ok(()) if *only_panics => {}
            Ok(()) => counts.deliver(1),
            Err(_) => {
                if *only_panics {
                    counts.accept();
                }
                counts.drop_for(DropReason::Panicked, 1);
            }
        }
    }

    pub(crate) fn delivery(&self) -> Delivery {
        // For a sink that counts for itself, only its panics are counted here.
        Delivery::join([self.sink.delivery(), Delivery::of(Arc::clone(&self.own) as Arc<dyn Part>)])
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Part for OwnCounts {
    fn report(&self) -> Option<SinkReport> {
        let report = self.counts.report(&self.name);
        (!self.only_panics || report.accepted() > 0).then_some(report)
    }

    fn close(&self, _deadline: Instant) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn wait(&self, _deadline: Instant) {}
}
