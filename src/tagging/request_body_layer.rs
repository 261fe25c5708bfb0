/// A layer that observes request bodies on their way to the service.
///
/// It counts their bytes. It also fills the tag `_user` if that is missing or empty: from the top-level `user` of a JSON body
/// or the field `user` of a multipart form, as the OpenAI API has them. `_user` is set once the service has read the body.
/// Within a [`TaggingLayer`](crate::TaggingLayer), [`TagSources::body_user`](crate::TagSources::body_user) decides whether
/// it does.
///
/// Place it inside of a layer that creates [`Tags`](crate::Tags); without them it does nothing. Frames reach the service
/// unchanged, one by one, and at most 16 KiB of a body are copied at a time. A body that breaks off sets the event's
/// [error](crate::Event::error), unless a handler sets another.
///
/// The service receives `Request<RequestBody<B>>`; see [request bodies](super#request-bodies).
#[derive(Clone, Copy, Debug)]
pub struct RequestBodyLayer {
    pub(super) reads_user: bool,
}

impl Default for RequestBodyLayer {
    fn default() -> Self {
        Self { reads_user: true }
    }
}

impl RequestBodyLayer {
    /// Creates a layer that counts bytes and reads `user`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether `user` is read.
    ///
    /// The model and service tier of an LLM request are read in any case if usage is.
    #[must_use]
    pub fn reads_user(mut self, reads: bool) -> Self {
        self.reads_user = reads;
        self
    }
}
