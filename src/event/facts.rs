use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, Version};
use uuid::Uuid;

use crate::trace::TraceContext;

use super::Outcome;

/// The plain facts of a request: everything on an event that needs no reading, merging, or pricing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) id: Uuid,
    pub(crate) time: SystemTime,
    pub(crate) trace: TraceContext,
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// The scheme of the request URI is `https`. Not part of the serialized event.
    pub(crate) is_https: bool,
    pub(crate) path: String,
    /// Empty if unknown, as is `host`, so that the buffers can be recycled.
    pub(crate) route: String,
    pub(crate) host: String,
    pub(crate) request_body_bytes: Option<u64>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) response_body_bytes: u64,
    pub(crate) time_to_head: Option<Duration>,
    pub(crate) time_to_first_byte: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) api_key: Option<Box<str>>,
    pub(crate) workspace: Option<Box<str>>,
    pub(crate) virtual_key: Option<Box<str>>,
    pub(crate) outcome: Outcome,
    pub(crate) rejection: Option<Box<str>>,
    pub(crate) limit_rule: Option<Box<str>>,
    pub(crate) error: Option<String>,
}

/// Maximum capacity of a text buffer that is recycled, in bytes.
const MAX_RECYCLED_BYTES: usize = 4096;

impl Default for Facts {
    fn default() -> Self {
        Self {
            id: Uuid::nil(),
            time: SystemTime::UNIX_EPOCH,
            trace: TraceContext::unset(),
            method: Method::GET,
            version: Version::HTTP_11,
            is_https: false,
            path: String::new(),
            route: String::new(),
            host: String::new(),
            request_body_bytes: None,
            status: None,
            response_body_bytes: 0,
            time_to_head: None,
            time_to_first_byte: None,
            duration: Duration::ZERO,
            api_key: None,
            workspace: None,
            virtual_key: None,
            outcome: Outcome::Cancelled,
            rejection: None,
            limit_rule: None,
            error: None,
        }
    }
}

impl Facts {
    /// Returns the route template, if a router provided one.
    pub(crate) fn route(&self) -> Option<&str> {
        non_empty(&self.route)
    }

    /// Returns the host that the client asked for.
    pub(crate) fn host(&self) -> Option<&str> {
        non_empty(&self.host)
    }

    /// Returns the memory that the facts use in addition to their own size, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let texts = self.path.capacity() + self.route.capacity() + self.host.capacity();
        let names = [&self.api_key, &self.workspace, &self.virtual_key, &self.rejection, &self.limit_rule];
        let names: usize = names.into_iter().flatten().map(|name| name.len()).sum();
        texts + names + self.error.as_ref().map_or(0, String::len) + self.trace.tracestate().map_or(0, str::len)
    }

    /// Resets everything except the text buffers, which are cleared and kept unless they grew large.
    pub(super) fn recycle(&mut self) {
        let recycled = |text: &mut String| {
            text.clear();
            text.shrink_to(MAX_RECYCLED_BYTES);
            std::mem::take(text)
        };
        self.trace.unset_ids();
        let trace = std::mem::replace(&mut self.trace, TraceContext::unset());
        let [path, route, host] = [&mut self.path, &mut self.route, &mut self.host].map(recycled);
        *self = Self { trace, path, route, host, ..Self::default() };
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
