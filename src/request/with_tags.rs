use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    Step, Tags,
    current::{Current, Entered},
};

impl Tags {
    /// Returns the tags of the request that the current thread works on.
    ///
    /// A layer of this crate sets them while it polls the service and the response body. A spawned task has none, unless it
    /// runs within [`scope`](Self::scope).
    ///
    /// ```
    /// use tower_tagging::Tags;
    ///
    /// assert!(Tags::current().is_none(), "outside of a request");
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

    /// Runs a future for this request, on any task: `tokio::spawn(tags.scope(work))`.
    pub fn scope<F: Future>(self, future: F) -> WithTags<F> {
        WithTags::new(future, self, None)
    }
}

impl Step {
    /// Returns the step that the current thread works on, within the future of [`scope`](Self::scope).
    ///
    /// Another request and [`Tags::scope`] hide it. A layer around the same request does not.
    pub fn current() -> Option<Self> {
        let tags = Tags::current()?;
        Self::copied().filter(|step| step.tags.is_of_same_request(&tags))
    }

    /// Runs a future for this step, on any task.
    ///
    /// Within the future, [`Tags::current`] returns the request's tags, and calls through a
    /// `PropagateLayer` name this step as their parent.
    ///
    /// Work that happens before the future is polled is not part of the step: write
    /// `step.scope(async { client.call(request).await })`, not `step.scope(client.call(request))`.
    pub fn scope<F: Future>(self, future: F) -> WithTags<F> {
        WithTags::new(future, self.tags.clone(), Some(self))
    }
}

pin_project! {
    /// A future that runs for a request; see [`Tags::scope`] and [`Step::scope`].
    pub struct WithTags<F> {
        #[pin]
        future: F,
        tags: Option<Tags>,
        step: Option<Step>,
    }
}

impl<F> WithTags<F> {
    fn new(future: F, tags: Tags, step: Option<Step>) -> Self {
        Self { future, tags: Some(tags), step }
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
