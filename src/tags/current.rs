use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::trace::TraceContext;

use super::{Step, Tags};

/// What a thread works for.
#[derive(Default)]
struct Current {
    tags: Option<Tags>,
    /// The step of that request, when it works on one.
    step: Option<Arc<TraceContext>>,
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current { tags: None, step: None }) };
}

/// Looks at what this thread works for.
fn look<T>(look: impl FnOnce(&Current) -> T) -> Option<T> {
    CURRENT
        .try_with(|place| {
            let current = place.take();
            let found = look(&current);
            place.set(current);
            found
        })
        .ok()
}

/// While it lives, the tags are those of the request that this thread works for. They are moved, not cloned: whoever is last
/// to let go of them still finds them unshared.
pub(crate) struct Entered<'a> {
    tags: &'a mut Option<Tags>,
    outer: Option<Current>,
}

impl<'a> Entered<'a> {
    pub(crate) fn new(tags: &'a mut Option<Tags>) -> Self {
        Self::at(tags, None)
    }

    fn at(tags: &'a mut Option<Tags>, step: Option<Arc<TraceContext>>) -> Self {
        let outer = CURRENT.try_with(|current| current.replace(Current { tags: tags.take(), step })).ok();
        Self { tags, outer }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            let ours = CURRENT.try_with(|current| current.replace(outer)).ok();
            *self.tags = ours.and_then(|current| current.tags);
        }
    }
}

impl Tags {
    /// The tags of the request that this thread works for: while an [`EventLayer`](crate::EventLayer) polls the service, and
    /// the response body, it says whose they are. A task that is spawned is on its own, unless it runs
    /// [within](Self::scope) a request.
    ///
    /// ```
    /// use tower_tagging::Tags;
    ///
    /// assert!(Tags::current().is_none(), "there is no request");
    /// # futures_util::FutureExt::now_or_never(async {
    /// let tags = Tags::new();
    /// tags.insert("_user", "ada");
    /// tags.scope(async {
    ///     assert_eq!(Tags::current().unwrap().get("_user").as_deref(), Some("ada"));
    /// }).await;
    /// # }).unwrap();
    /// ```
    pub fn current() -> Option<Self> {
        look(|current| current.tags.clone()).flatten()
    }

    /// Runs a future for this request, wherever it is polled: `tokio::spawn(tags.scope(work))`.
    pub fn scope<F: Future>(self, future: F) -> WithTags<F> {
        WithTags { future, tags: Some(self), step: None }
    }
}

impl Step {
    /// The step that this thread works on, while the future of a [`scope`](Self::scope) is polled.
    pub fn current() -> Option<Self> {
        look(|current| Some(Self { tags: current.tags.clone()?, trace: current.step.clone()? })).flatten()
    }

    /// Runs a future for this step, wherever it is polled: [`Tags::current`] gives the request's tags there, and calls through
    /// a [`PropagateLayer`](crate::PropagateLayer) name this step as the parent.
    ///
    /// What is done before the future is polled is outside of it: `step.scope(async { client.call(request).await })`, not
    /// `step.scope(client.call(request))`.
    pub fn scope<F: Future>(self, future: F) -> WithTags<F> {
        WithTags { future, tags: Some(self.tags), step: Some(self.trace) }
    }
}

pin_project! {
    /// The future of [`Tags::scope`] and [`Step::scope`].
    pub struct WithTags<F> {
        #[pin]
        future: F,
        tags: Option<Tags>,
        step: Option<Arc<TraceContext>>,
    }
}

impl<F: Future> Future for WithTags<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = Entered::at(this.tags, this.step.clone());
        this.future.poll(context)
    }
}

impl<F> fmt::Debug for WithTags<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTags").finish_non_exhaustive()
    }
}
