use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use sync_wrapper::SyncWrapper;

use crate::{event::Event, request::Tags, sink::Delivery, trace::TraceContext};

use super::{
    request_observer::RequestObserver,
    request_scope::{Nested, RequestScope},
    request_span::RequestSpan,
    request_start::RequestStart,
};

/// The observers of an event layer. A panic of one affects neither the request nor the others.
#[derive(Clone, Default)]
pub(super) struct Observers {
    /// Outermost first.
    all: Vec<Arc<dyn RequestObserver>>,
    /// The span of the request. Its scope is within all others, because an observer may replace the trace ids that it shows.
    span: Option<RequestSpan>,
}

/// The scopes that the observers opened for one request.
///
/// Scopes are only used through exclusive references, so the response body can be `Sync` although they are not.
#[derive(Default)]
pub(super) struct ObserverScopes(Option<SyncWrapper<Box<dyn RequestScope>>>);

impl Observers {
    pub(super) fn add(&mut self, observer: Arc<dyn RequestObserver>) {
        self.all.push(observer);
    }

    pub(super) fn set_span(&mut self, span: RequestSpan) {
        self.span = Some(span);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.span.is_none()
    }

    /// Returns the first decision of an observer.
    pub(super) fn is_sampled(&self, trace: &TraceContext) -> Option<bool> {
        self.all.iter().find_map(|observer| isolated(|| observer.is_sampled(trace)).flatten())
    }

    /// Announces a request.
    pub(super) fn begin(&self, start: &mut RequestStart<'_>) -> ObserverScopes {
        let mut outer = ObserverScopes::default();
        let span = self.span.as_ref().map(|span| span as &dyn RequestObserver);
        for observer in self.all.iter().map(|observer| &**observer).chain(span) {
            // The scopes so far are entered, so that spans of this observer become children of theirs.
            let inner = outer.run(|| isolated(|| observer.begin(start)));
            outer.0 = match (outer.0.take(), inner) {
                (Some(outer), Some(inner)) => {
                    let nested: Box<dyn RequestScope> = Box::new(Nested { outer: outer.into_inner(), inner });
                    Some(SyncWrapper::new(nested))
                }
                (outer, inner) => outer.or(inner.map(SyncWrapper::new)),
            };
        }
        outer
    }

    /// Passes the event to every observer.
    pub(super) fn end(&self, event: &Arc<Event>) {
        for observer in &self.all {
            isolated(|| observer.end(event));
        }
    }

    /// Announces that the cost of a call was added to the request that made it.
    pub(super) fn rolled_up(&self, caller: &Tags, event: &Event) {
        for observer in &self.all {
            isolated(|| observer.rolled_up(caller, event));
        }
    }

    pub(super) fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        self.all.iter().map(|observer| observer.delivery())
    }
}

impl ObserverScopes {
    /// Runs `code` within the scopes. Only a panic of `code` itself is passed on.
    #[inline]
    pub(super) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        let Some(scope) = self.0.as_mut().map(SyncWrapper::get_mut) else { return code() };
        let mut code = Some(code);
        let mut result = None;
        isolated(|| {
            scope.run(&mut || {
                if let Some(code) = code.take() {
                    result = Some(catch_unwind(AssertUnwindSafe(code)));
                }
            });
        });
        match (result, code) {
            (Some(result), _) => result.unwrap_or_else(|panic| resume_unwind(panic)),
            // The scope did not call it.
            (None, Some(code)) => code(),
            (None, None) => unreachable!("the result is set where `code` is taken"),
        }
    }

    /// Closes the scopes.
    pub(super) fn close(&mut self) {
        if let Some(scope) = self.0.take() {
            isolated(|| drop(scope));
        }
    }
}

impl Drop for ObserverScopes {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs code of an observer. The panic hook has reported a panic.
fn isolated<T>(code: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(code)).ok()
}
