use std::{fmt, sync::Arc, time::SystemTime};

use http::{Request, request::Parts};

#[cfg(feature = "limit")]
use crate::sink::Sink;
use crate::{
    request::{Identity, Rejection, Tags},
    sink::Delivery,
    usage::UsageTap,
};

#[cfg(feature = "limit")]
use super::event_layer::EventLayer;
use super::{
    admission::Admission,
    admission_decision::{Decision, decide},
    gate::Gate,
    gate_needs::GateNeeds,
    gate_reply::GateReply,
    head_only_tagging_layer::HeadOnlyTaggingLayer,
    metadata_layer::MetadataLayer,
    passage::Passage,
    steps::Steps,
    tagging_layer::TaggingLayer,
};

/// A [`TaggingLayer`] that identifies callers, and admits only some of their requests.
///
/// The steps of a request, in this order:
///
/// 1. An [`Admission`] identifies the caller. A rejected caller is answered with its tags on the event.
/// 2. Headers become tags. Each passes the [filter](crate::metadata::TagFilter) of the caller: names, claims, screening.
/// 3. The tags are limited and merged with the trusted tags of the caller.
/// 4. The [rules](super::Caller::check) of the caller check the effective metadata.
/// 5. The [gate](Self::gate) decides, if there is one.
/// 6. The service is called.
///
/// If a rule depends on the field `user` of the request body, or the gate on its model, up to 256 KiB of the body are read
/// ahead, and the service receives them again. A value after that is treated as missing.
///
/// The service must be `Clone`, because it is called after the body was read ahead. The data of its response body must be
/// `From<Bytes>`, because rejections have a body. Both hold for axum.
///
/// ```
/// use std::{sync::Arc, time::SystemTime};
///
/// use axum::{Router, routing::get};
/// use http::{StatusCode, request::Parts};
/// use tower_tagging::{
///     TaggingLayer, metadata::Scope, tags,
///     tagging::{Admission, AdmissionLayer, Identity, Rejection},
/// };
///
/// struct OneKey;
///
/// impl Admission for OneKey {
///     fn identify(&self, head: &mut Parts, _now: SystemTime) -> Identity {
///         let mut identity = Identity::new();
///         if head.headers.get("x-key").is_none_or(|key| key != "sesame") {
///             return identity.rejected(Rejection::new(StatusCode::UNAUTHORIZED, "unknown_key"));
///         }
///         identity.api_key = Some(Arc::from("web"));
///         identity.scopes.add(Scope::ApiKey, tags! { "team" => "growth" });
///         identity
///     }
/// }
///
/// # fn main() -> Result<(), tower_tagging::ConfigError> {
/// let layer = AdmissionLayer::new(TaggingLayer::builder().build()?, OneKey);
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(layer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AdmissionLayer {
    pub(super) head: HeadOnlyTaggingLayer,
    admission: Arc<dyn Admission>,
    pub(super) gate: Option<Arc<dyn Gate>>,
}

impl AdmissionLayer {
    /// Creates a layer around the parts of a [`TaggingLayer`].
    #[allow(clippy::needless_pass_by_value, reason = "the layer replaces the other one")]
    pub fn new(tagging: TaggingLayer, admission: impl Admission) -> Self {
        let admission: Arc<dyn Admission> = Arc::new(admission);
        let steps = Steps { admission: Some(Arc::clone(&admission)), ..(*tagging.head.steps).clone() };
        Self { head: HeadOnlyTaggingLayer::new(steps), admission, gate: None }
    }

    /// Sets the gate through which requests pass after the rules of their caller.
    ///
    /// Without a sink, the layer emits no events, and no request reaches the gate: pass one to
    /// [`TaggingLayerBuilder::sink`](super::TaggingLayerBuilder::sink) that learns the end of each request.
    #[must_use]
    pub fn gate(mut self, gate: impl Gate) -> Self {
        self.gate = Some(Arc::new(gate));
        self
    }

    /// Adds a sink.
    #[cfg(feature = "limit")]
    pub(crate) fn sink(mut self, sink: impl Sink) -> Self {
        let mut steps = (*self.head.steps).clone();
        steps.event = Some(match steps.event.take() {
            Some(events) => events.first_sink(sink),
            None => EventLayer::new(sink),
        });
        self.head = HeadOnlyTaggingLayer::new(steps);
        self
    }

    /// Returns the handle to the delivery of events: counts, flush, and shutdown.
    pub fn delivery(&self) -> Delivery {
        self.head.delivery()
    }

    /// Returns the part of this layer that reads and merges tags, for its counts.
    pub fn metadata_layer(&self) -> Option<&MetadataLayer> {
        self.head.metadata_layer()
    }

    /// Identifies the caller of a request, reads its tags, and decides. `may_have_user` is `true` if the body may have a
    /// field `user`.
    pub(super) fn admit(&self, head: &mut Parts, tags: &Tags, may_have_user: bool) -> Decision {
        let steps = &*self.head.steps;
        let now = steps.event.as_ref().map_or_else(SystemTime::now, |layer| layer.events.clock.now());
        let mut identity = self.admission.identify(head, now);
        let (rejection, caller) = (identity.rejection.take(), identity.caller.clone());
        let tag_rejection = tags.identify(identity);
        if let Some(layer) = &steps.metadata {
            layer.strip(&mut head.headers);
        }
        if let Some(rejection) = rejection {
            return Decision::Reject(rejection);
        }
        if let Some(reason) = tag_rejection {
            let rejection = caller.and_then(|caller| caller.reject(&reason));
            return Decision::Reject(Box::new(rejection.unwrap_or_else(|| Rejection::of_tags(&reason))));
        }
        let Some(caller) = caller else { return Decision::Call };
        let may_learn_user = may_have_user && tags.may_learn_user();
        decide(tags, caller, may_learn_user)
    }

    /// Returns what the gate needs of requests. `None` if all of them pass.
    pub(super) fn gate_needs(&self) -> Option<GateNeeds> {
        self.gate.as_ref()?.needs()
    }

    /// Returns `true` if the gate needs fields of the body of this request.
    pub(super) fn reads_body(&self, needs: GateNeeds, head: &Parts, tags: &Tags) -> bool {
        let is_llm_call = || self.usage().is_some_and(|usage| usage.detect(head).is_some());
        needs.user && tags.may_learn_user() || needs.call && is_llm_call()
    }

    /// Passes a request to the gate. The body has this length, if it is known.
    pub(super) fn enter<B>(
        &self,
        request: Request<B>,
        tags: &Tags,
        body_bytes: Option<u64>,
    ) -> (Request<B>, GateReply) {
        let gate = self.gate.as_ref().filter(|gate| gate.needs().is_some());
        let Some(gate) = gate else { return (request, GateReply::Now(Passage::admit())) };
        let (head, body) = request.into_parts();
        let endpoint = self.usage().and_then(|usage| usage.detect(&head));
        let reply = match tags.gated(endpoint.as_ref(), self.usage(), body_bytes) {
            Some(request) => gate.enter(request),
            None => GateReply::Now(Passage::admit()),
        };
        (Request::from_parts(head, body), reply)
    }

    fn usage(&self) -> Option<&UsageTap> {
        self.head.steps.event.as_ref()?.events.usage.as_ref()
    }
}

impl From<TaggingLayer> for AdmissionLayer {
    /// Creates a layer that identifies no callers.
    fn from(tagging: TaggingLayer) -> Self {
        struct Nobody;

        impl Admission for Nobody {
            fn identify(&self, _head: &mut Parts, _now: SystemTime) -> Identity {
                Identity::new()
            }
        }

        Self::new(tagging, Nobody)
    }
}

impl fmt::Debug for AdmissionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionLayer").field("tagging", &self.head).finish_non_exhaustive()
    }
}
