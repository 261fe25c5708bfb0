use std::fmt::{self, Display};

use crate::{event::Outcome, request::Tags};

use super::{error_text::display_text, guard::Guard};

/// Work that has started; see [`Work::start`](super::Work::start).
///
/// It ends by [`complete`](Self::complete) or [`fail`](Self::fail). If it is dropped before, the outcome is `cancelled`, or
/// `panicked` if a panic unwinds.
///
/// ```
/// use tower_tagging::{TaggingLayer, Tags, sink::JsonLinesSink};
///
/// let tagging = TaggingLayer::builder().sink(JsonLinesSink::writer(std::io::stderr())).build()?;
/// let mut work = Tags::work("nightly report").start(&tagging);
/// work.enter(|| {
///     // Code of the job. `Tags::current()` is its handle.
/// });
/// work.complete();
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[must_use = "dropping the guard ends the work as cancelled"]
pub struct WorkGuard {
    guard: Guard,
    tags: Tags,
}

impl fmt::Debug for WorkGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkGuard").finish_non_exhaustive()
    }
}

impl WorkGuard {
    pub(super) fn new(guard: Guard, tags: Tags) -> Self {
        Self { guard, tags }
    }

    /// Returns the handle to the work.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// Runs code for this work, on the current thread: [`Tags::current`] is its handle.
    pub fn enter<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.guard.run(code)
    }

    /// Ends the work as `completed`, and emits its event.
    pub fn complete(mut self) {
        self.end(Outcome::Completed, None);
    }

    /// Ends the work as `failed`, and emits its event.
    ///
    /// The error is at most 1,024 characters of its text, without control characters.
    pub fn fail(mut self, error: impl Display) {
        self.end(Outcome::Failed, Some(display_text("work", &error)));
    }

    pub(super) fn end(&mut self, outcome: Outcome, error: Option<String>) {
        if let Some(pending) = self.guard.pending() {
            pending.end(outcome, error);
        }
        self.guard.release_emitted();
    }
}
