use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use http::Method;
use opentelemetry::{KeyValue, metrics::Meter};

use super::methods::METHODS;

/// The values of `url.scheme`, by whether the scheme is `https`.
const SCHEMES: [&str; 2] = ["http", "https"];

/// The number of requests in progress, by scheme and method.
#[derive(Debug, Default)]
pub(super) struct ActiveRequests {
    counts: [[Count; METHODS.len() + 1]; SCHEMES.len()],
}

#[derive(Debug, Default)]
struct Count {
    active: AtomicI64,
    /// There was a request. A count that was never used is not reported, so that it has no series.
    is_used: AtomicBool,
}

/// The count that a request is part of. It is small, because it moves with the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct ActiveSlot {
    scheme: u8,
    method: u8,
}

impl ActiveRequests {
    /// Counts a request as active and returns the slot to pass to [`leave`](Self::leave).
    pub(super) fn enter(&self, method: &Method, is_https: bool) -> ActiveSlot {
        let index = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len());
        let slot = ActiveSlot { scheme: u8::from(is_https), method: u8::try_from(index).unwrap_or(u8::MAX) };
        if let Some(count) = self.count(slot) {
            count.active.fetch_add(1, Relaxed);
            // Read first, because a write would contend with other threads.
            if !count.is_used.load(Relaxed) {
                count.is_used.store(true, Relaxed);
            }
        }
        slot
    }

    pub(super) fn leave(&self, slot: ActiveSlot) {
        if let Some(count) = self.count(slot) {
            count.active.fetch_sub(1, Relaxed);
        }
    }

    fn count(&self, slot: ActiveSlot) -> Option<&Count> {
        self.counts.get(usize::from(slot.scheme))?.get(usize::from(slot.method))
    }

    /// Registers the instrument `http.server.active_requests`.
    pub(super) fn register(self: &Arc<Self>, meter: &Meter) {
        let active = Arc::clone(self);
        meter
            .i64_observable_up_down_counter("http.server.active_requests")
            .with_unit("{request}")
            .with_description("Requests in progress, up to the end of the response body.")
            .with_callback(move |observer| {
                for (count, labels) in active.points() {
                    observer.observe(count, &labels);
                }
            })
            .build();
    }

    fn points(&self) -> impl Iterator<Item = (i64, [KeyValue; 2])> {
        SCHEMES.into_iter().zip(&self.counts).flat_map(|(scheme, counts)| {
            let used =
                METHODS.into_iter().chain(["_OTHER"]).zip(counts).filter(|(_, count)| count.is_used.load(Relaxed));
            used.map(move |(method, count)| {
                let labels = [KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", scheme)];
                (count.active.load(Relaxed), labels)
            })
        })
    }
}
