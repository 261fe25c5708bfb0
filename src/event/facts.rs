use std::{
    any::Any,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode, Version};
use uuid::Uuid;

use crate::{
    time::{micros, whole_micros},
    trace::TraceContext,
};

use super::{Outcome, grpc::GrpcMethod};

/// The plain facts of a request: everything on an event that needs no reading, merging, or pricing.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) id: Uuid,
    pub(crate) time: SystemTime,
    pub(crate) trace: TraceContext,
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// The scheme of the request URI is `https`. Not part of the serialized event, nor compared.
    pub(crate) is_https: bool,
    /// Not part of the serialized event, nor compared.
    pub(crate) grpc: GrpcMethod,
    pub(crate) path: String,
    /// The path was screened before observers saw it. Not part of the serialized event, nor compared.
    pub(crate) is_path_screened: bool,
    /// Empty if unknown, as is `host`, so that the buffers can be recycled.
    pub(crate) route: String,
    /// Code has set the route, so it is final. Not part of the serialized event, nor compared.
    pub(crate) is_route_set: bool,
    pub(crate) host: String,
    pub(crate) request_body_bytes: Option<u64>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) grpc_status: Option<u16>,
    pub(crate) response_body_bytes: u64,
    pub(crate) time_to_head: Option<Duration>,
    pub(crate) time_to_first_byte: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) api_key: Option<Arc<str>>,
    pub(crate) workspace: Option<Arc<str>>,
    pub(crate) virtual_key: Option<Arc<str>>,
    pub(crate) outcome: Outcome,
    pub(crate) rejection: Option<Box<str>>,
    pub(crate) limit_rule: Option<Box<str>>,
    pub(crate) error: Option<String>,
    /// The data that observers keep about the request. Not part of the serialized event, nor compared.
    pub(crate) attachments: Attachments,
}

/// The data of observers, one value each.
pub(crate) type Attachments = Vec<Arc<dyn Any + Send + Sync>>;

/// The approximate size of an attachment, in bytes.
const ATTACHMENT_BYTES: usize = 512;

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
            grpc: GrpcMethod::None,
            path: String::new(),
            is_path_screened: false,
            route: String::new(),
            is_route_set: false,
            host: String::new(),
            request_body_bytes: None,
            status: None,
            grpc_status: None,
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
            attachments: Vec::new(),
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

    /// Rounds all times down to microseconds, the resolution of a serialized event.
    pub(super) fn round_times(&mut self) {
        let rounded = |time: Duration| Duration::from_micros(micros(time));
        self.time = whole_micros(self.time);
        self.time_to_head = self.time_to_head.map(rounded);
        self.time_to_first_byte = self.time_to_first_byte.map(rounded);
        self.duration = rounded(self.duration);
    }

    /// Returns the memory that the facts use in addition to their own size, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let texts = self.path.capacity() + self.route.capacity() + self.host.capacity();
        // The names of keys and workspaces are shared by all requests.
        let names = [&self.rejection, &self.limit_rule];
        let names: usize = names.into_iter().flatten().map(|name| name.len()).sum();
        let attachments = self.attachments.len() * ATTACHMENT_BYTES;
        texts
            + names
            + attachments
            + self.error.as_ref().map_or(0, String::len)
            + self.trace.tracestate().map_or(0, str::len)
    }

    /// Rewrites the texts that may contain data of the client.
    pub(crate) fn screen(&mut self, screen: impl Fn(&str) -> Option<String>) {
        let path = (!self.is_path_screened).then_some(&mut self.path);
        for text in [path, self.error.as_mut()].into_iter().flatten() {
            if let Some(screened) = screen(text) {
                *text = screened;
            }
        }
        self.trace.screen(screen);
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
        self.attachments.clear();
        let attachments = std::mem::take(&mut self.attachments);
        *self = Self { trace, path, route, host, attachments, ..Self::default() };
    }
}

impl PartialEq for Facts {
    /// Compares the facts that a serialized event contains.
    fn eq(&self, other: &Self) -> bool {
        // Without `..`, so that a new fact is not forgotten.
        let Self {
            id,
            time,
            trace,
            method,
            version,
            is_https: _,
            grpc: _,
            is_route_set: _,
            is_path_screened: _,
            path,
            route,
            host,
            request_body_bytes,
            status,
            grpc_status,
            response_body_bytes,
            time_to_head,
            time_to_first_byte,
            duration,
            api_key,
            workspace,
            virtual_key,
            outcome,
            rejection,
            limit_rule,
            error,
            attachments: _,
        } = self;
        let is_same_request = (id, time, trace, method, version)
            == (&other.id, &other.time, &other.trace, &other.method, &other.version)
            && (path, route, host, request_body_bytes)
                == (&other.path, &other.route, &other.host, &other.request_body_bytes);
        let is_same_response = (status, grpc_status, response_body_bytes)
            == (&other.status, &other.grpc_status, &other.response_body_bytes)
            && (time_to_head, time_to_first_byte, duration)
                == (&other.time_to_head, &other.time_to_first_byte, &other.duration);
        let is_same_caller =
            (api_key, workspace, virtual_key) == (&other.api_key, &other.workspace, &other.virtual_key);
        let is_same_end = (outcome, rejection, limit_rule, error)
            == (&other.outcome, &other.rejection, &other.limit_rule, &other.error);
        is_same_request && is_same_response && is_same_caller && is_same_end
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
