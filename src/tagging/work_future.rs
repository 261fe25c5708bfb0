use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::event::Outcome;

use super::work_guard::WorkGuard;

pin_project! {
    /// A future that runs as separate work; see [`Work::run`](super::Work::run) and [`Work::scope`](super::Work::scope).
    ///
    /// Dropping it before its end makes the outcome `cancelled`.
    #[must_use = "futures do nothing unless polled"]
    pub struct WorkFuture<F: Future> {
        // Declared before the guard, so that it is dropped while the work is running.
        #[pin]
        future: F,
        guard: WorkGuard,
        error_of: fn(&F::Output) -> Option<String>,
    }
}

impl<F: Future> WorkFuture<F> {
    pub(super) fn new(future: F, guard: WorkGuard, error_of: fn(&F::Output) -> Option<String>) -> Self {
        Self { future, guard, error_of }
    }
}

impl<F: Future> Future for WorkFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.guard.enter(|| this.future.poll(context)));
        match (this.error_of)(&output) {
            Some(error) => this.guard.end(Outcome::Failed, Some(error)),
            None => this.guard.end(Outcome::Completed, None),
        }
        Poll::Ready(output)
    }
}

impl<F: Future> fmt::Debug for WorkFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkFuture").finish_non_exhaustive()
    }
}
