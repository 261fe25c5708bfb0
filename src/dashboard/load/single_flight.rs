use std::sync::{Arc, Mutex};

use http::StatusCode;
use tokio::sync::watch;

use crate::{dashboard::page_error::PageError, sync::lock};

use super::slots::Slots;

type Outcome<V> = Result<Arc<V>, PageError>;

/// Executes equal questions that are asked at the same time once.
///
/// The work runs in its own task. It continues if a viewer leaves, because a database does not stop either, and keeps its
/// slot until it has ended. If all viewers leave before it begins, it never does.
#[derive(Debug)]
pub(super) struct SingleFlight<K, V> {
    open: Arc<Mutex<Open<K, V>>>,
}

/// The questions in flight.
#[derive(Debug)]
struct Open<K, V> {
    next_id: u64,
    flights: Vec<Flight<K, V>>,
}

#[derive(Debug)]
struct Flight<K, V> {
    id: u64,
    key: K,
    outcome: watch::Receiver<Option<Outcome<V>>>,
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self { open: Arc::new(Mutex::new(Open { next_id: 0, flights: Vec::new() })) }
    }
}

impl<K: PartialEq + Send + 'static, V: Send + Sync + 'static> SingleFlight<K, V> {
    /// Returns the outcome of the work for a key: of the one in flight, or else of this one.
    pub(super) async fn run<E: Into<PageError> + Send + 'static>(
        &self,
        key: K,
        slots: &Slots,
        work: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Outcome<V> {
        let mut outcome = self.join(key, slots, work);
        let outcome = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| {
            let message = "The query ended without an answer.".to_owned();
            Err(PageError { status: StatusCode::INTERNAL_SERVER_ERROR, message })
        })
    }

    fn join<E: Into<PageError> + Send + 'static>(
        &self,
        key: K,
        slots: &Slots,
        work: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> watch::Receiver<Option<Outcome<V>>> {
        let mut open = lock(&self.open);
        if let Some(flight) = open.flights.iter().find(|flight| flight.key == key) {
            return flight.outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        let id = open.next_id;
        open.next_id += 1;
        open.flights.push(Flight { id, key, outcome: outcome.clone() });
        // The guard removes the flight also if the work panics.
        let landing = Landing { open: Arc::clone(&self.open), id };
        tokio::spawn(fly(landing, slots.clone(), sender, work));
        outcome
    }
}

/// Waits for a slot, does the work, and publishes its outcome.
async fn fly<K, V, E: Into<PageError>>(
    landing: Landing<K, V>,
    slots: Slots,
    sender: watch::Sender<Option<Outcome<V>>>,
    work: impl Future<Output = Result<V, E>>,
) {
    let slot = slots.take().await;
    if landing.is_abandoned(&sender) {
        return;
    }
    let outcome = work.await.map(Arc::new).map_err(Into::into);
    slot.end(outcome.is_ok());
    drop(landing);
    sender.send_replace(Some(outcome));
}

/// Removes a flight when it is dropped, so that the next question is executed again.
struct Landing<K, V> {
    open: Arc<Mutex<Open<K, V>>>,
    id: u64,
}

impl<K, V> Landing<K, V> {
    /// Returns `true` if nobody waits for the outcome. Then nobody joins the flight any more.
    fn is_abandoned(&self, sender: &watch::Sender<Option<Outcome<V>>>) -> bool {
        let mut open = lock(&self.open);
        // The flight itself has a receiver.
        let is_abandoned = sender.receiver_count() <= 1;
        if is_abandoned {
            open.flights.retain(|flight| flight.id != self.id);
        }
        is_abandoned
    }
}

impl<K, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        lock(&self.open).flights.retain(|flight| flight.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::Semaphore;

    use super::{PageError, SingleFlight, Slots};

    /// Work that waits for a signal, and counts how often it is done.
    fn work(
        done: &Arc<AtomicU32>,
        gate: &Arc<Semaphore>,
    ) -> impl Future<Output = Result<u32, PageError>> + Send + 'static {
        let (done, gate) = (Arc::clone(done), Arc::clone(gate));
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(done.fetch_add(1, Ordering::SeqCst))
        }
    }

    #[tokio::test]
    async fn equal_questions_are_executed_once_and_others_wait_for_a_slot() {
        let (flights, slots) = (Arc::new(SingleFlight::<u32, u32>::default()), Slots::default());
        let (done, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let mut viewers = Vec::new();
        for at in 0..40 {
            let (flights, slots, work) = (Arc::clone(&flights), slots.clone(), work(&done, &gate));
            viewers.push(tokio::spawn(async move { flights.run(at % 4, &slots, work).await.map(|value| *value) }));
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.counts().running, 2);
        gate.add_permits(4);
        let mut found = Vec::new();
        for viewer in viewers {
            found.push(viewer.await.unwrap().unwrap());
        }
        assert_eq!(done.load(Ordering::SeqCst), 4);
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 3].into_iter().flat_map(|value| [value; 10]).collect::<Vec<_>>());
        assert_eq!((slots.counts().executed, slots.counts().most_running), (4, 2));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_never_begins() {
        let (flights, slots) = (Arc::new(SingleFlight::<u32, u32>::default()), Slots::default());
        let (done, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let start = |key: u32| {
            let (flights, slots, work) = (Arc::clone(&flights), slots.clone(), work(&done, &gate));
            tokio::spawn(async move { flights.run(key, &slots, work).await.map(|value| *value) })
        };
        let (first, second, third) = (start(1), start(2), start(3));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        third.abort();
        gate.add_permits(2);
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!((done.load(Ordering::SeqCst), slots.counts().executed, slots.counts().running), (2, 2, 0));
        gate.add_permits(1);
        assert_eq!(start(3).await.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_questions_only() {
        let (flights, slots) = (SingleFlight::<u32, u32>::default(), Slots::default());
        let broken = async { Result::<u32, PageError>::Ok("x".parse::<u32>().expect("broken")) };
        assert!(flights.run(1, &slots, broken).await.is_err());
        assert_eq!(*flights.run(1, &slots, async { Ok::<u32, PageError>(7) }).await.unwrap(), 7);
        assert_eq!(slots.counts().running, 0);
    }
}
