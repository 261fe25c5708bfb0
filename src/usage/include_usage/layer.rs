use tower_layer::Layer;

use super::service::{DEFAULT_MAX_REQUEST_BYTES, InjectIncludeUsage};

/// Layer that applies [`InjectIncludeUsage`]; see the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct InjectIncludeUsageLayer {
    max_request_bytes: usize,
}

impl InjectIncludeUsageLayer {
    /// Creates a layer that changes request bodies of up to 4 MiB.
    pub fn new() -> Self {
        Self { max_request_bytes: DEFAULT_MAX_REQUEST_BYTES }
    }

    /// Sets the size of the largest request body that is changed, in bytes. The default is 4 MiB.
    #[must_use]
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request_bytes = bytes;
        self
    }
}

impl Default for InjectIncludeUsageLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for InjectIncludeUsageLayer {
    type Service = InjectIncludeUsage<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InjectIncludeUsage::with_limit(inner, self.max_request_bytes)
    }
}

impl<S> InjectIncludeUsage<S> {
    /// Returns a layer that applies this middleware with the default limit.
    pub fn layer() -> InjectIncludeUsageLayer {
        InjectIncludeUsageLayer::new()
    }
}
