use crate::request::GatedRequest;

use super::gate_reply::GateReply;

/// Decides whether requests may proceed, once their tags are final: limits.
///
/// [`AdmissionLayer::gate`](super::AdmissionLayer::gate) applies it, after the rules of the
/// [`Caller`](super::Caller) and before the service. It is asked once per request that has an event. Requests that the layer
/// [excludes](crate::EventLayer::exclude) have none, and pass.
pub trait Gate: Send + Sync + 'static {
    /// Returns `true` if the decision needs fields of the request body: the model, the maximum number of tokens, or, if
    /// `may_learn_user` is `true`, the tag `_user`.
    ///
    /// Up to 256 KiB of the body are then read ahead, and the service receives them again. What comes later is treated as
    /// missing. `is_llm_call` tells whether the head is that of an LLM call.
    fn reads_body(&self, is_llm_call: bool, may_learn_user: bool) -> bool;

    /// Decides about a request. It runs on the task that serves the request, so it must not block.
    fn enter(&self, request: GatedRequest) -> GateReply;
}
