use crate::headers::{TRACEPARENT, TRACESTATE};

use super::{
    dialect::Dialect,
    origin::Origin,
    propagated::Propagated,
    writer::{OutgoingTag, Writer, set_header},
};

/// The trace context and tags that one destination receives.
///
/// By default, that is the trace context and no tags.
///
/// # Examples
///
/// ```
/// use tower_tagging::propagate::{Dialect, Destination};
///
/// let gateway = Destination::new().dialect(Dialect::Portkey).allow(["_user", "feature"]).allow_as("tenant_id", "tenant");
/// let third_party = Destination::nothing();
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct Destination {
    sends_trace: bool,
    allowed: Vec<AllowedTag>,
    dialects: Vec<Dialect>,
}

/// An entry of the allow-list.
#[derive(Clone, Debug)]
struct AllowedTag {
    key: Box<str>,
    /// The key that the destination sees.
    name: Box<str>,
}

impl Default for Destination {
    fn default() -> Self {
        Self::new()
    }
}

impl Destination {
    /// Creates a destination that receives only the trace context.
    ///
    /// The trace context is `traceparent` and `tracestate`.
    pub fn new() -> Self {
        Self { sends_trace: true, allowed: Vec::new(), dialects: Vec::new() }
    }

    /// Creates a destination that receives nothing, not even the trace context.
    pub fn nothing() -> Self {
        Self::new().trace_context(false)
    }

    /// Sets whether the trace context is sent.
    ///
    /// It consists of `traceparent`, `tracestate`, and the trace headers of the dialects.
    pub fn trace_context(mut self, sends: bool) -> Self {
        self.sends_trace = sends;
        self
    }

    /// Adds a dialect in which tags and the trace context are sent.
    ///
    /// A destination can have several dialects. Without one, it receives no tags.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        if !self.dialects.contains(&dialect) {
            self.dialects.push(dialect);
        }
        self
    }

    /// Adds tags to the allow-list. They are sent under their own keys.
    ///
    /// Keys are compared exactly. Tags are sent in the order in which they were allowed.
    pub fn allow<K: AsRef<str>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        keys.into_iter().fold(self, |destination, key| destination.allow_as(key.as_ref(), key.as_ref()))
    }

    /// Adds a tag to the allow-list and sends it under a different name.
    ///
    /// If the key is already allowed, the new name replaces the old one.
    pub fn allow_as(mut self, key: &str, name: &str) -> Self {
        match self.allowed.iter_mut().find(|allowed| *allowed.key == *key) {
            Some(allowed) => allowed.name = name.into(),
            None => self.allowed.push(AllowedTag { key: key.into(), name: name.into() }),
        }
        self
    }

    /// Returns the headers to send on behalf of a request or a step.
    ///
    /// Also returns the tags that were left out of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_tagging::{Tags, propagate::{Dialect, Destination, LeftOutReason}};
    ///
    /// let tags = Tags::new();
    /// tags.extend([("team", "search"), ("note", "one, two")]);
    /// let propagated = Destination::nothing().dialect(Dialect::LiteLlm).allow(["team", "note"]).propagate(&tags);
    /// assert_eq!(propagated.headers["x-litellm-tags"], "team:search");
    /// assert_eq!(propagated.left_out[0].key, "note");
    /// assert_eq!(propagated.left_out[0].reason, LeftOutReason::Value);
    /// ```
    pub fn propagate(&self, origin: impl Into<Origin>) -> Propagated {
        let Origin { tags, trace } = origin.into();
        let mut propagated = Propagated::default();
        if self.sends_trace {
            set_header(&mut propagated.headers, TRACEPARENT, &trace.traceparent());
            if let Some(list) = trace.tracestate() {
                set_header(&mut propagated.headers, TRACESTATE, list);
            }
        }
        // Merging the tags is the expensive part, so it is skipped if no tag can be sent.
        let metadata = if self.allowed.is_empty() || self.dialects.is_empty() { None } else { Some(tags.metadata()) };
        let outgoing: Vec<_> = metadata
            .iter()
            .flat_map(|metadata| {
                self.allowed
                    .iter()
                    .filter_map(|AllowedTag { key, name }| Some(OutgoingTag { key, name, value: metadata.get(key)? }))
            })
            .collect();
        for dialect in &self.dialects {
            Writer::new(*dialect, &mut propagated).write(&outgoing, self.sends_trace.then_some(&trace));
        }
        propagated
    }

    #[cfg(test)]
    pub(super) fn allowed_count(&self) -> usize {
        self.allowed.len()
    }
}
