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
    counts_itself: bool,
}

struct OwnCounts {
    name: String,
    counts: Counts,
    closed: AtomicBool,
}

impl Guarded {
    pub(crate) fn new(sink: impl Sink) -> Self {
        let own = OwnCounts { name: sink.name().to_owned(), counts: Counts::default(), closed: AtomicBool::new(false) };
        Self { counts_itself: !sink.delivery().is_none(), sink: Arc::new(sink), own: Arc::new(own) }
    }

    pub(crate) fn name(&self) -> &str {
        self.sink.name()
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.sink.is_listening()
    }

    pub(crate) fn emit(&self, event: Arc<Event>) {
        let counts = &self.own.counts;
        if !self.counts_itself {
            counts.accept();
            if self.own.closed.load(Ordering::Relaxed) {
                return counts.drop_for(DropReason::Closed, 1);
            }
        }
        match catch_unwind(AssertUnwindSafe(|| self.sink.emit(event))) {
            Ok(()) if self.counts_itself => {}
            Ok(()) => counts.deliver(1),
            Err(_) => {
                if self.counts_itself {
                    counts.accept();
                }
                counts.drop_for(DropReason::Panicked, 1);
            }
        }
    }

    pub(crate) fn delivery(&self) -> Delivery {
        let own = Delivery::of(Arc::clone(&self.own) as Arc<dyn Part>);
        if self.counts_itself {
            // What is counted here beside the sink's own counts is its panics, of which there are none as a rule.
            let panicked = self.own.counts.report("").accepted() > 0;
            Delivery::join([self.sink.delivery(), if panicked { own } else { Delivery::none() }])
        } else {
            own
        }
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Part for OwnCounts {
    fn report(&self) -> SinkReport {
        self.counts.report(&self.name)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn wait(&self, _deadline: Instant) {}
}
