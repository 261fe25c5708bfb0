use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    thread::LocalKey,
};

use pin_project_lite::pin_project;

use super::{Step, Tags};

thread_local! {
    /// The request that this thread works for.
    static TAGS: Cell<Option<Tags>> = const { Cell::new(None) };
    /// The step that it works on, of this request or of one around it.
    static STEP: Cell<Option<Step>> = const { Cell::new(None) };
}

/// What a thread has one of.
pub(crate) trait Current: Clone + 'static {
    const PLACE: &'static LocalKey<Cell<Option<Self>>>;

    /// A copy of what is there.
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

/// While it lives, what was in the slot is current, and what was current is in the slot: values are moved, not cloned, so that
/// whoever is last to let go of them still finds them unshared.
pub(crate) struct Entered<'a, T: Current> {
    slot: &'a mut Option<T>,
}

impl<'a, T: Current> Entered<'a, T> {
    pub(crate) fn new(slot: &'a mut Option<T>) -> Self {
        let mut entered = Self { slot };
        entered.exchange();
        entered
    }

    /// Does nothing on a thread that is about to end, before and after.
    fn exchange(&mut self) {
        let _ = T::PLACE.try_with(|place| *self.slot = place.replace(self.slot.take()));
    }
}

impl<T: Current> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        self.exchange();
    }
}

impl Tags {
    /// The tags of the request that this thread works for: while a layer of this crate polls the service, and
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
        Current::copied()
    }

    /// Runs a future for this request, wherever it is polled: `tokio::spawn(tags.scope(work))`.
    pub fn scope<F: Future>(self, future: F) -> WithTags<F> {
        WithTags { future, tags: Some(self), step: None }
    }
}

impl Step {
    /// The step that this thread works on, while the future of a [`scope`](Self::scope) is polled. Another request hides it,
    /// and so does [`Tags::scope`]; a layer around the same request does not.
    pub fn current() -> Option<Self> {
        let tags = Tags::current()?;
        Self::copied().filter(|step| step.tags.is_of_same_request(&tags))
    }

    /// Runs a future for this step, wherever it is polled: [`Tags::current`] gives the request's tags there, and calls through
    /// a [`PropagateLayer`](crate::PropagateLayer) name this step as the parent.
    ///
    /// What is done before the future is polled is outside of it: `step.scope(async { client.call(request).await })`, not
    /// `step.scope(client.call(request))`.
    pub fn scope<F: Future>(self, future: F) -> WithTags<F> {
        WithTags { future, tags: Some(self.tags.clone()), step: Some(self) }
    }
}

pin_project! {
    /// The future of [`Tags::scope`] and [`Step::scope`].
    pub struct WithTags<F> {
        #[pin]
        future: F,
        tags: Option<Tags>,
        step: Option<Step>,
    }
}

impl<F: Future> Future for WithTags<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _step = Entered::new(this.step);
        let _tags = Entered::new(this.tags);
        this.future.poll(context)
    }
}

impl<F> fmt::Debug for WithTags<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTags").finish_non_exhaustive()
    }
}
