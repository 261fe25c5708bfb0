use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Delivered values (events), kept with their buffers for the next requests.
///
/// An event is written on one thread and freed on another. Memory that moves between threads is the largest single cost
/// of an event: `benches/layer` prints a row without the pool. Delivery threads therefore return events here. The most
/// recently returned events are reused first, because they are most likely still in the cache.
///
/// This file and the `recycle` methods are the only code that depends on reuse.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    /// `None` after the owner was dropped. Values hold a reference to their pool, so the pool must not hold them then.
    spare: Mutex<Option<Vec<Arc<T>>>>,
}

/// A value that a [`Pool`] reuses.
pub(crate) trait Recycle: Sized {
    /// Resets everything except the buffers.
    fn recycle(&mut self);

    /// Returns the pool that the value came from.
    fn home(&self) -> Option<&Arc<Pool<Self>>>;
}

/// Owns a pool and closes it on drop.
#[derive(Debug)]
pub(crate) struct PoolOwner<T>(Arc<Pool<T>>);

impl<T> PoolOwner<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Pool { spare: Mutex::new(Some(Vec::new())) }))
    }

    /// Creates a pool that keeps nothing.
    pub(crate) fn disabled() -> Self {
        Self(Arc::new(Pool { spare: Mutex::new(None) }))
    }

    /// Returns a recycled value that is not shared, or creates one that will return to this pool.
    pub(crate) fn take(&self, create: impl FnOnce(Arc<Pool<T>>) -> T) -> Arc<T> {
        let spare = lock(&self.0.spare).as_mut().and_then(Vec::pop);
        spare.unwrap_or_else(|| Arc::new(create(Arc::clone(&self.0))))
    }
}

impl<T> Clone for PoolOwner<T> {
    /// Creates an empty pool that is disabled if this one is: each owner has its own.
    fn clone(&self) -> Self {
        if lock(&self.0.spare).is_some() { Self::new() } else { Self::disabled() }
    }
}

impl<T> Drop for PoolOwner<T> {
    fn drop(&mut self) {
        let spare = lock(&self.0.spare).take();
        drop(spare);
    }
}

impl<T: Recycle> Pool<T> {
    /// Maximum number of values kept.
    const CAPACITY: usize = 1024;

    /// Keeps as many values as there is room for. The caller drops the others without the lock.
    fn keep(&self, values: &mut impl Iterator<Item = Arc<T>>) {
        if let Some(spare) = &mut *lock(&self.spare) {
            let room = Self::CAPACITY.saturating_sub(spare.len());
            spare.extend(values.take(room));
        }
    }

    /// Returns a value to its pool. A value that is still shared is only dropped.
    pub(crate) fn give_back(mut value: Arc<T>) {
        let Some(unshared) = Arc::get_mut(&mut value) else { return };
        unshared.recycle();
        let Some(home) = unshared.home().cloned() else { return };
        home.keep(&mut std::iter::once(value));
    }

    /// Returns all values that are not shared to their pools, and drops the others.
    pub(crate) fn give_back_all(values: &mut Vec<Arc<T>>) {
        values.retain_mut(|value| Arc::get_mut(value).map(T::recycle).is_some());
        while let Some(last) = values.last() {
            let Some(home) = last.home().cloned() else {
                values.pop();
                continue;
            };
            let is_at_home = |value: &Arc<T>| value.home().is_some_and(|other| Arc::ptr_eq(other, &home));
            let count = values.iter().rev().take_while(|value| is_at_home(value)).count();
            home.keep(&mut values.drain(values.len() - count..));
        }
    }
}
