use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::Tags;

thread_local! {
    static CURRENT: RefCell<Option<Tags>> = const { RefCell::new(None) };
}

/// While it lives, the tags are those of the request that this thread works for. They are moved, not cloned: whoever is last
/// to let go of them still finds them unshared.
pub(crate) struct Entered<'a> {
    tags: &'a mut Option<Tags>,
    outer: Option<Tags>,
}

impl<'a> Entered<'a> {
    pub(crate) fn new(tags: &'a mut Option<Tags>) -> Self {
        let outer = CURRENT.try_with(|current| current.replace(tags.take())).ok().flatten();
        Self { tags, outer }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let outer = self.outer.take();
        *self.tags = CURRENT.try_with(|current| current.replace(outer)).ok().flatten();
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
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Runs a future for this request, wherever it is polled: `tokio::spawn(tags.scope(work))`.
    pub fn scope<F: Future>(self, future: F) -> WithTags<F> {
        WithTags { future, tags: Some(self) }
    }
}

pin_project! {
    /// The future of [`Tags::scope`].
    pub struct WithTags<F> {
        #[pin]
        future: F,
        tags: Option<Tags>,
    }
}

impl<F: Future> Future for WithTags<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = Entered::new(this.tags);
        this.future.poll(context)
    }
}

impl<F> fmt::Debug for WithTags<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTags").finish_non_exhaustive()
    }
}
