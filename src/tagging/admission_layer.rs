use std::{fmt, sync::Arc, time::SystemTime};

use http::request::Parts;

use crate::{
    request::{Rejection, Tags},
    sink::Delivery,
};

use super::{
    admission::Admission,
    admission_decision::{Decision, decide},
    head_only_tagging_layer::HeadOnlyTaggingLayer,
    metadata_layer::MetadataLayer,
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
/// 5. The service is called.
///
/// If a rule depends on the field `user` of the request body, up to 256 KiB of the body are read ahead, and the service
/// receives them again. A value after that is treated as missing.
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
}

impl AdmissionLayer {
    /// Creates a layer around the parts of a [`TaggingLayer`].
    #[allow(clippy::needless_pass_by_value, reason = "the layer replaces the other one")]
    pub fn new(tagging: TaggingLayer, admission: impl Admission) -> Self {
        let admission: Arc<dyn Admission> = Arc::new(admission);
        let steps = Steps { admission: Some(Arc::clone(&admission)), ..(*tagging.head.steps).clone() };
        Self { head: HeadOnlyTaggingLayer::new(steps), admission }
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
}

impl fmt::Debug for AdmissionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionLayer").field("tagging", &self.head).finish_non_exhaustive()
    }
}
