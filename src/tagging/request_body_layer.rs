/// A layer that observes request bodies on their way to the service.
///
/// It counts their bytes. With [`TagSources::body_user`](crate::TagSources::body_user), it also fills the tag `_user` if that
/// is missing or empty: from the top-level `user` of a JSON body or the field `user` of a multipart form, as the OpenAI API
/// has them. `_user` is set once the service has read the body. If usage is read, it also reads the model and the service
/// tier of an LLM request.
///
/// Place it inside of a layer that creates [`Tags`](crate::Tags); without them it does nothing. Frames reach the service
/// unchanged, one by one, and at most 16 KiB of a body are copied at a time. A body that breaks off sets the event's
/// [error](crate::Event::error), unless a handler sets another.
///
/// The service receives `Request<RequestBody<B>>`; see [request bodies](super#request-bodies).
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RequestBodyLayer;

impl RequestBodyLayer {
    /// Creates a layer.
    pub fn new() -> Self {
        Self
    }
}
