use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::{Extensions, HeaderMap, HeaderValue, Uri};

use crate::{
    headers::{PORTKEY_PARENT_SPAN_ID, TRACEPARENT, TRACESTATE},
    request::{Step, Tags},
};

use super::{hosts::Hosts, origin::Origin, propagated::Propagated};

/// Layer that adds tags and trace context to outgoing calls.
///
/// They are those of the current request.
///
/// Wrap an HTTP client in it. The types of the request body, the response, and the error stay the same. Clones share
/// their counts. See the [module documentation](super) for an example.
///
/// If the client has its own [`TaggingLayer`](crate::TaggingLayer), place this layer inside of it, and let that layer
/// [inherit](crate::tagging::MetadataLayerBuilder::inherit_tags) tags and trace. The next service then nests under the
/// call's own span. [`TaggedClient`](crate::client::TaggedClient) has this order.
#[derive(Clone, Debug, Default)]
pub struct PropagateLayer {
    hosts: Arc<Hosts>,
    overwrites: bool,
    left_out: Arc<AtomicU64>,
}

impl PropagateLayer {
    /// Creates a layer that sends the trace context to all hosts, and no tags.
    ///
    /// Use [`builder`](Self::builder) to send tags.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(hosts: Hosts, overwrites: bool) -> Self {
        Self { hosts: Arc::new(hosts), overwrites, left_out: Arc::default() }
    }

    /// Returns how many tags were left out because a dialect cannot represent them.
    ///
    /// A tag counts once for each dialect. [`Destination::propagate`](super::Destination::propagate) returns the tags and
    /// the reasons.
    pub fn left_out_total(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Adds the headers for the request's destination.
    pub(super) fn write(&self, uri: &Uri, extensions: &Extensions, headers: &mut HeaderMap) {
        let Some(origin) = origin(extensions) else { return };
        let request_trace = origin.tags.trace();
        let is_own = headers.get(TRACEPARENT).map(|value| *value == request_trace.traceparent());
        let has_own_parent =
            headers.get(PORTKEY_PARENT_SPAN_ID).is_some_and(|value| request_trace.is_parent_span(value));
        let writes_pair = self.overwrites || is_own != Some(false);
        let parent = HeaderValue::from_str(origin.trace.span_id().as_str());
        let Propagated { headers: ours, left_out } = self.hosts.destination(uri, headers).propagate(origin);
        self.left_out.fetch_add(u64::try_from(left_out.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let sends_pair = ours.contains_key(TRACEPARENT);
        // An existing `tracestate` belongs to a different `traceparent`, or to none.
        if writes_pair && (sends_pair || is_own == Some(true)) {
            headers.remove(TRACESTATE);
        }
        if is_own == Some(true) && !sends_pair {
            headers.remove(TRACEPARENT);
        }
        if has_own_parent {
            // It has precedence over `traceparent`, so both must name the same span.
            match parent {
                Ok(parent) if sends_pair => _ = headers.insert(PORTKEY_PARENT_SPAN_ID, parent),
                _ => _ = headers.remove(PORTKEY_PARENT_SPAN_ID),
            }
        }
        for (name, value) in &ours {
            let may_write = match name {
                name if name == TRACEPARENT || name == TRACESTATE => writes_pair,
                name => self.overwrites || !headers.contains_key(name),
            };
            if may_write {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// Returns the request or step that an outgoing request belongs to.
fn origin(extensions: &Extensions) -> Option<Origin> {
    if let Some(step) = extensions.get::<Step>() {
        return Some(step.into());
    }
    match (extensions.get::<Tags>(), Step::current()) {
        (Some(tags), Some(step)) if step.tags().is_of_same_request(tags) => Some(step.into()),
        (Some(tags), _) => Some(tags.into()),
        (None, _) => Origin::current(),
    }
}
