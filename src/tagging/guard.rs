use crate::request::{Entered, Tags};

use super::pending::Pending;

/// The part of a request that moves through the service and into the response body.
#[derive(Default)]
pub(super) struct Guard {
    /// The event, until it is emitted.
    pending: Option<Pending>,
    /// Without an event: the request that the service and its body work on. `None` if an outer layer sets it.
    tags: Option<Tags>,
}

impl Guard {
    /// Creates a guard. `is_new` is `true` if no outer layer set the tags.
    pub(super) fn new(pending: Option<Pending>, tags: &Tags, is_new: bool) -> Self {
        let tags = (is_new && pending.is_none()).then(|| tags.clone());
        Self { pending, tags }
    }

    /// Returns the event, unless there is none or it was emitted.
    pub(super) fn pending(&mut self) -> Option<&mut Pending> {
        self.pending.as_mut()
    }

    pub(super) fn sends_receipt(&self) -> bool {
        self.pending.as_ref().is_some_and(Pending::sends_receipt)
    }

    /// Drops the guard of an event that was emitted. Returns `true` if it was.
    pub(super) fn release_emitted(&mut self) -> bool {
        self.pending.take_if(|pending| pending.is_over()).is_some()
    }

    /// Calls or polls user code for the request.
    #[inline]
    pub(super) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        if let Some(pending) = &mut self.pending {
            return pending.run(code);
        }
        let _current = self.tags.is_some().then_some(&mut self.tags).map(Entered::new);
        code()
    }

    /// Calls user code that does not depend on the current request.
    #[inline]
    pub(super) fn inspect<T>(&self, code: impl FnOnce() -> T) -> T {
        match &self.pending {
            Some(pending) => pending.inspect(code),
            None => code(),
        }
    }
}
