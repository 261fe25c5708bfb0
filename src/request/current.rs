use std::{cell::Cell, thread::LocalKey};

use super::{Step, Tags};

thread_local! {
    /// The request that the current thread works on.
    static TAGS: Cell<Option<Tags>> = const { Cell::new(None) };
    /// The step that the current thread works on. It may belong to a surrounding request.
    static STEP: Cell<Option<Step>> = const { Cell::new(None) };
}

/// A value with one instance per thread.
pub(crate) trait Current: Clone + 'static {
    const PLACE: &'static LocalKey<Cell<Option<Self>>>;

    /// Returns a copy of the current value.
    fn copied() -> Option<Self> {
        let copy = |place: &Cell<Option<Self>>| {
            let value = place.take();
            let copy = value.clone();
            place.set(value);
            copy
        };
        Self::PLACE.try_with(copy).ok().flatten()
    }
}

impl Current for Tags {
    const PLACE: &'static LocalKey<Cell<Option<Self>>> = &TAGS;
}

impl Current for Step {
    const PLACE: &'static LocalKey<Cell<Option<Self>>> = &STEP;
}

/// A guard that swaps the slot's value with the current one until it is dropped.
///
/// Values are moved, not cloned, so that the last holder still finds them unshared.
pub(crate) struct Entered<'a, T: Current> {
    slot: &'a mut Option<T>,
}

impl<'a, T: Current> Entered<'a, T> {
    pub(crate) fn new(slot: &'a mut Option<T>) -> Self {
        let mut entered = Self { slot };
        entered.exchange();
        entered
    }

    /// Swaps the values. Does nothing while the thread is being torn down.
    fn exchange(&mut self) {
        let _ = T::PLACE.try_with(|place| *self.slot = place.replace(self.slot.take()));
    }
}

impl<T: Current> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        self.exchange();
    }
}
