use crate::Tags;
#[cfg(feature = "propagate")]
use crate::request::current::Entered;

use super::pending::Pending;

/// What goes with a request through the service and into the response body.
#[derive(Default)]
pub(super) struct Guard {
    /// Where there is an event, until it is emitted.
    pending: Option<Pending>,
    /// Where there is none, whose request the service and its body work for. `None` where a layer around this one says so.
    #[cfg(feature = "propagate")]
    tags: Option<Tags>,
}

impl Guard {
    /// Of a request with these tags, to which no layer around this one gave them where they are new.
    pub(super) fn new(pending: Option<Pending>, tags: &Tags, is_new: bool) -> Self {
        #[cfg(feature = "propagate")]
        let tags = (is_new && pending.is_none()).then(|| tags.clone());
        #[cfg(not(feature = "propagate"))]
        let _ = (tags, is_new);
        Self {
            pending,
            #[cfg(feature = "propagate")]
            tags,
        }
    }

    /// The event, unless there is none, or it was emitted.
    pub(super) fn pending(&mut self) -> Option<&mut Pending> {
        self.pending.as_mut()
    }

    pub(super) fn gives_receipt(&self) -> bool {
        self.pending.as_ref().is_some_and(Pending::gives_receipt)
    }

    /// Lets go of the event once it was emitted, and says whether it was.
    pub(super) fn release_emitted(&mut self) -> bool {
        self.pending.take_if(|pending| pending.is_over()).is_some()
    }

    /// Calls or polls the user's code for the request.
    #[inline]
    pub(super) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        if let Some(pending) = &mut self.pending {
            return pending.run(code);
        }
        #[cfg(feature = "propagate")]
        let _current = self.tags.is_some().then_some(&mut self.tags).map(Entered::new);
        code()
    }

    /// Asks the user's code something that needs to know of no request.
    #[inline]
    pub(super) fn look<T>(&self, code: impl FnOnce() -> T) -> T {
        match &self.pending {
            Some(pending) => pending.look(code),
            None => code(),
        }
    }
}
