//! Locks that remain usable after a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(feature = "sqlite")]
use std::task::{Context, Poll, Waker};

/// Locks a mutex, even a poisoned one: the data in our mutexes is valid after every statement.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the output of a future that is ready at once. `None` if it waits for something.
#[cfg(feature = "sqlite")]
pub(crate) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
