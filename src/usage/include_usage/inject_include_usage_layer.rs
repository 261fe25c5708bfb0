const DEFAULT_MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// Layer that applies [`InjectIncludeUsage`](super::InjectIncludeUsage); see the [module](super).
#[derive(Clone, Copy, Debug)]
pub struct InjectIncludeUsageLayer {
    pub(super) max_request_bytes: usize,
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
