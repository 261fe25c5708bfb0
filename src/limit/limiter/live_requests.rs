use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::sync::lock;

use super::estimates::Kind;

/// How long a request that ended is remembered if it is not settled, because its event was dropped.
const FORGOTTEN: Duration = Duration::from_secs(55 * 60);

/// The requests of this process that have reservations.
#[derive(Default)]
pub(super) struct LiveRequests {
    requests: Mutex<HashMap<Uuid, Live>>,
}

/// The parts of rates that a request took.
#[derive(Clone, Debug, Default)]
pub(super) struct TakenRates {
    /// The series, and the microseconds.
    pub(super) series: Vec<(String, i64)>,
    /// The ledger has not answered, and may have taken nothing.
    pub(super) is_uncertain: bool,
}

struct Live {
    kind: Kind,
    rates: TakenRates,
    ended: Option<Instant>,
}

impl LiveRequests {
    pub(super) fn begin(&self, id: Uuid, kind: Kind, rates: TakenRates) {
        lock(&self.requests).insert(id, Live { kind, rates, ended: None });
    }

    /// Returns the kind of a request.
    pub(super) fn kind(&self, id: Uuid) -> Option<Kind> {
        lock(&self.requests).get(&id).map(|live| live.kind.clone())
    }

    pub(super) fn contains(&self, id: Uuid) -> bool {
        lock(&self.requests).contains_key(&id)
    }

    /// Ends a request. Its lease is not extended any more.
    pub(super) fn end(&self, id: Uuid) {
        if let Some(live) = lock(&self.requests).get_mut(&id) {
            live.ended = Some(Instant::now());
        }
    }

    /// Returns what a request took of rates. It stays, because a settlement may be repeated.
    pub(super) fn rates(&self, id: Uuid) -> TakenRates {
        lock(&self.requests).get(&id).map(|live| live.rates.clone()).unwrap_or_default()
    }

    /// Forgets requests that are settled.
    pub(super) fn forget(&self, ids: impl Iterator<Item = Uuid>) {
        let mut requests = lock(&self.requests);
        ids.for_each(|id| drop(requests.remove(&id)));
    }

    /// Returns the requests that are running.
    pub(super) fn running(&self) -> Vec<Uuid> {
        let mut requests = lock(&self.requests);
        requests.retain(|_, live| live.ended.is_none_or(|ended| ended.elapsed() < FORGOTTEN));
        requests.iter().filter(|(_, live)| live.ended.is_none()).map(|(id, _)| *id).collect()
    }
}
