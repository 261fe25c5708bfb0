use std::{fmt, sync::Arc};

use http::HeaderName;

use super::{id_generator::IdGenerator, random_ids::RandomIds, trace_policy::TracePolicy, trace_sampler::TraceSampler};

/// Layer that gives every request trace ids. See the [module](super) documentation.
#[derive(Clone)]
#[must_use]
pub struct TraceIdLayer {
    pub(super) policy: TracePolicy,
    /// `None` for the headers of the dialects.
    pub(super) trace_headers: Option<Arc<[HeaderName]>>,
    pub(super) reply: Reply,
    pub(super) ids: Arc<dyn IdGenerator>,
    pub(super) sampler: Option<Arc<dyn TraceSampler>>,
}

/// The response header for the trace id.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Never,
    /// `x-portkey-trace-id` for clients that use this dialect, or else `x-trace-id`.
    ByDialect,
    Header(HeaderName),
}

impl Default for TraceIdLayer {
    fn default() -> Self {
        Self {
            policy: TracePolicy::default(),
            trace_headers: None,
            reply: Reply::ByDialect,
            ids: Arc::new(RandomIds),
            sampler: None,
        }
    }
}

impl fmt::Debug for TraceIdLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceIdLayer")
            .field("policy", &self.policy)
            .field("trace_headers", &self.trace_headers)
            .field("reply", &self.reply)
            .finish_non_exhaustive()
    }
}

impl TraceIdLayer {
    /// Creates a layer that continues the client's trace.
    ///
    /// It returns the trace id in a [response header](Self::response_header).
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the treatment of trace ids that the client sends.
    pub fn policy(mut self, policy: TracePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the headers that may contain the client's trace id, strongest first.
    ///
    /// The default is `x-portkey-trace-id`, then `x-majordomo-trace-id`.
    pub fn trace_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.trace_headers = Some(names.into_iter().collect());
        self
    }

    /// Sets the response header for the trace id.
    ///
    /// A header of the service with the same name is left unchanged.
    ///
    /// The default is `x-portkey-trace-id` if any header of the request starts with `x-portkey-`, or else `x-trace-id`.
    pub fn response_header(mut self, name: HeaderName) -> Self {
        self.reply = Reply::Header(name);
        self
    }

    /// Leaves the response without a trace id.
    pub fn without_response_header(mut self) -> Self {
        self.reply = Reply::Never;
        self
    }

    /// Sets the generator of new ids.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Arc::new(ids);
        self
    }

    /// Sets the sampler that decides which traces are recorded.
    pub fn sampler(mut self, sampler: impl TraceSampler) -> Self {
        self.sampler = Some(Arc::new(sampler));
        self
    }

    pub(crate) fn has_sampler(&self) -> bool {
        self.sampler.is_some()
    }

    pub(crate) fn shared_sampler(mut self, sampler: Arc<dyn TraceSampler>) -> Self {
        self.sampler = Some(sampler);
        self
    }

    pub(crate) fn shared_ids(mut self, ids: Arc<dyn IdGenerator>) -> Self {
        self.ids = ids;
        self
    }
}
