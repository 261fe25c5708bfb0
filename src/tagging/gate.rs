use crate::request::GatedRequest;

use super::{gate_needs::GateNeeds, gate_reply::GateReply};

/// Decides whether requests may proceed, once their tags are final: limits.
///
/// [`AdmissionLayer::gate`](super::AdmissionLayer::gate) applies it, after the rules of the
/// [`Caller`](super::Caller) and before the service. It is asked once per request that has an event. Requests that the layer
/// [excludes](crate::EventLayer::exclude) have none, and pass.
pub trait Gate: Send + Sync + 'static {
    /// Returns the parts of the request body that the decision needs. `None` if every request passes at the moment; the gate is
    /// then not asked.
    fn needs(&self) -> Option<GateNeeds>;

    /// Decides about a request. It runs on the task that serves the request, so it must not block.
    fn enter(&self, request: GatedRequest) -> GateReply;
}
