/// The part of a request that a [`RequestObserver`](super::RequestObserver) follows.
pub trait RequestScope: Send {
    /// Calls `poll` exactly once. It calls or polls the service, or polls the response body.
    ///
    /// `poll` does not panic: a panic of the service is passed on after this method has returned.
    fn run(&mut self, poll: &mut dyn FnMut());
}

/// Two scopes, one within the other.
pub(super) struct Nested {
    pub(super) outer: Box<dyn RequestScope>,
    pub(super) inner: Box<dyn RequestScope>,
}

impl RequestScope for Nested {
    fn run(&mut self, poll: &mut dyn FnMut()) {
        let Self { outer, inner } = self;
        outer.run(&mut || inner.run(poll));
    }
}
