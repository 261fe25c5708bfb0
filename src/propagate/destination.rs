use crate::trace::{TRACEPARENT, TRACESTATE};

use super::{
    Dialect, Origin, Propagated,
    dialect::{Writer, set},
};

/// What one destination is told: by default the trace context and no tag.
///
/// ```
/// use tower_tagging::propagate::{Dialect, Destination};
///
/// let gateway = Destination::new().dialect(Dialect::Portkey).allow(["_user", "feature"]).allow_as("tenant_id", "tenant");
/// let stranger = Destination::nothing();
/// ```
#[derive(Clone, Debug)]
pub struct Destination {
    sends_trace: bool,
    allowed: Vec<Allowed>,
    dialects: Vec<Dialect>,
}

/// A tag that may go out.
#[derive(Clone, Debug)]
struct Allowed {
    key: Box<str>,
    /// What it is called there.
    name: Box<str>,
}

/// A tag that is to go out.
pub(super) struct Outgoing<'a> {
    pub(super) key: &'a str,
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

impl Default for Destination {
    fn default() -> Self {
        Self::new()
    }
}

impl Destination {
    /// The trace context alone: `traceparent` and `tracestate`.
    pub fn new() -> Self {
        Self { sends_trace: true, allowed: Vec::new(), dialects: Vec::new() }
    }

    /// Nothing at all, not even the trace context.
    pub fn nothing() -> Self {
        Self::new().trace_context(false)
    }

    /// Whether the trace goes out: `traceparent`, `tracestate`, and the trace headers of the dialects.
    #[must_use]
    pub fn trace_context(mut self, sends: bool) -> Self {
        self.sends_trace = sends;
        self
    }

    /// A dialect in which tags, and the trace, go out. Several are possible; without one no tag goes out.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        if !self.dialects.contains(&dialect) {
            self.dialects.push(dialect);
        }
        self
    }

    /// Tags that may go out under their own keys, compared exactly, behind those that may already.
    #[must_use]
    pub fn allow<K: AsRef<str>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        keys.into_iter().fold(self, |destination, key| destination.allow_as(key.as_ref(), key.as_ref()))
    }

    /// A tag that may go out under another name. A key that is allowed twice goes out under the later name.
    #[must_use]
    pub fn allow_as(mut self, key: &str, name: &str) -> Self {
        match self.allowed.iter_mut().find(|allowed| *allowed.key == *key) {
            Some(allowed) => allowed.name = name.into(),
            None => self.allowed.push(Allowed { key: key.into(), name: name.into() }),
        }
        self
    }

    /// The headers for a call, and what was left out of them.
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
            set(&mut propagated.headers, TRACEPARENT, &trace.traceparent());
            if let Some(list) = trace.tracestate() {
                set(&mut propagated.headers, TRACESTATE, list);
            }
        }
        let metadata = if self.allowed.is_empty() || self.dialects.is_empty() { None } else { Some(tags.metadata()) };
        let outgoing: Vec<_> = metadata
            .iter()
            .flat_map(|metadata| {
                self.allowed
                    .iter()
                    .filter_map(|Allowed { key, name }| Some(Outgoing { key, name, value: metadata.get(key)? }))
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
