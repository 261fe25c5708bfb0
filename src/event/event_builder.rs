use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, Version};
use uuid::Uuid;

use crate::{
    metadata::{Diagnostic, Metadata, Precedence, Scope, Scopes},
    trace::{IdGenerator, RandomIds, TraceContext},
    usage::LlmCall,
};

use super::{Event, Outcome, facts::Facts, settle::Settled};

/// Builds an [`Event`].
///
/// The default is a `GET /` request that completed just now: without a status, with new ids, and without tags.
///
/// ```
/// use http::StatusCode;
/// use tower_tagging::{Event, metadata::Scope, tags};
///
/// let event = Event::builder()
///     .path("/chat")
///     .status(StatusCode::OK)
///     .tags(Scope::Request, tags! { "_user" => "ada" })
///     .build();
/// assert_eq!(&event.metadata()["_user"], "ada");
///
/// let json = serde_json::to_string(&event)?;
/// assert_eq!(serde_json::from_str::<Event>(&json)?, event);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct EventBuilder {
    facts: Facts,
    scopes: Scopes,
    diagnostics: Vec<Diagnostic<'static>>,
    llm: Option<Box<LlmCall>>,
}

impl Event {
    /// Creates a builder, for tests of sinks and for events from other systems.
    pub fn builder() -> EventBuilder {
        EventBuilder::default()
    }
}

impl Default for EventBuilder {
    fn default() -> Self {
        let time = SystemTime::now();
        Self {
            facts: Facts {
                id: RandomIds.event_id(time),
                trace: TraceContext::new(RandomIds.trace_id(time), RandomIds.span_id()),
                path: "/".to_owned(),
                outcome: Outcome::Completed,
                ..Facts::default()
            },
            scopes: Scopes::new(),
            diagnostics: Vec::new(),
            llm: None,
        }
        .time(time)
    }
}

impl EventBuilder {
    /// Sets the [id](Event::id).
    pub fn id(mut self, id: Uuid) -> Self {
        self.facts.id = id;
        self
    }

    /// Sets the [time](Event::time).
    pub fn time(mut self, time: SystemTime) -> Self {
        self.facts.time = time;
        self
    }

    /// Sets the [trace ids](Event::trace).
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.facts.trace = trace;
        self
    }

    /// Sets the request [method](Event::method).
    pub fn method(mut self, method: Method) -> Self {
        self.facts.method = method;
        self
    }

    /// Sets the request [path](Event::path).
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.facts.path = path.into();
        self
    }

    /// Sets the [route](Event::route).
    pub fn route(mut self, route: impl Into<String>) -> Self {
        self.facts.route = route.into();
        self
    }

    /// Sets the [host](Event::host).
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.facts.host = host.into();
        self
    }

    /// Sets the [HTTP version](Event::http_version).
    pub fn http_version(mut self, version: Version) -> Self {
        self.facts.version = version;
        self
    }

    /// Sets the number of [request body bytes](Event::request_body_bytes).
    pub fn request_body_bytes(mut self, bytes: u64) -> Self {
        self.facts.request_body_bytes = Some(bytes);
        self
    }

    /// Sets the response [status](Event::status).
    pub fn status(mut self, status: StatusCode) -> Self {
        self.facts.status = Some(status);
        self
    }

    /// Sets the [gRPC status](Event::grpc_status).
    pub fn grpc_status(mut self, status: u16) -> Self {
        self.facts.grpc_status = Some(status);
        self
    }

    /// Sets the number of [response body bytes](Event::response_body_bytes).
    pub fn response_body_bytes(mut self, bytes: u64) -> Self {
        self.facts.response_body_bytes = bytes;
        self
    }

    /// Sets the [time to the response head](Event::time_to_head).
    pub fn time_to_head(mut self, time: Duration) -> Self {
        self.facts.time_to_head = Some(time);
        self
    }

    /// Sets the [time to the first byte](Event::time_to_first_byte) of the response body.
    pub fn time_to_first_byte(mut self, time: Duration) -> Self {
        self.facts.time_to_first_byte = Some(time);
        self
    }

    /// Sets the [duration](Event::duration).
    pub fn duration(mut self, duration: Duration) -> Self {
        self.facts.duration = duration;
        self
    }

    /// Sets the name of the [API key](Event::api_key).
    pub fn api_key(mut self, name: impl Into<String>) -> Self {
        self.facts.api_key = Some(name.into().into());
        self
    }

    /// Sets the slug of the [workspace](Event::workspace).
    pub fn workspace(mut self, slug: impl Into<String>) -> Self {
        self.facts.workspace = Some(slug.into().into());
        self
    }

    /// Sets the name of the [virtual key](Event::virtual_key).
    pub fn virtual_key(mut self, name: impl Into<String>) -> Self {
        self.facts.virtual_key = Some(name.into().into());
        self
    }

    /// Sets the [outcome](Event::outcome).
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.facts.outcome = outcome;
        self
    }

    /// Sets the outcome to [`Outcome::Rejected`], with the [reason](Event::rejection).
    pub fn rejection(mut self, reason: impl Into<String>) -> Self {
        self.facts.outcome = Outcome::Rejected;
        self.facts.rejection = Some(reason.into().into());
        self
    }

    /// Sets the [limit rule](Event::limit_rule) that rejected the request.
    pub fn limit_rule(mut self, rule: impl Into<String>) -> Self {
        self.facts.limit_rule = Some(rule.into().into());
        self
    }

    /// Sets the [error](Event::error).
    pub fn error(mut self, error: impl Into<String>) -> Self {
        self.facts.error = Some(error.into());
        self
    }

    /// Adds tags to a scope.
    ///
    /// The [effective metadata](Event::metadata) is the merge of all scopes under [`Precedence::Strict`].
    pub fn tags(mut self, scope: Scope, tags: Metadata) -> Self {
        self.scopes.add(scope, tags);
        self
    }

    /// Adds a [diagnostic](Event::diagnostics).
    pub fn diagnostic(mut self, diagnostic: Diagnostic<'static>) -> Self {
        self.diagnostics.push(diagnostic);
        self
    }

    /// Sets the [LLM call](Event::llm).
    pub fn llm(mut self, mut call: LlmCall) -> Self {
        self.diagnostics.extend(call.take_diagnostics());
        self.llm = Some(Box::new(call));
        self
    }

    /// Builds the event.
    pub fn build(self) -> Event {
        let (metadata, sources) = self.scopes.merge(Precedence::Strict);
        let settled = Settled { metadata, sources, diagnostics: self.diagnostics, llm: self.llm };
        Event::new(self.facts, settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::LlmCall;

    #[test]
    fn an_error_is_a_bad_status_a_broken_request_or_an_error_of_the_provider() {
        let broken = LlmCall::builder().error("overloaded").build();
        let fine = LlmCall::builder().build();
        for (outcome, status, call, is_error) in [
            (Outcome::Completed, Some(200), None, false),
            (Outcome::Completed, Some(399), Some(&fine), false),
            (Outcome::Completed, Some(400), None, true),
            (Outcome::Completed, Some(599), None, true),
            (Outcome::Completed, Some(200), Some(&broken), true),
            (Outcome::Upgraded, Some(101), None, false),
            (Outcome::Rejected, Some(429), None, true),
            (Outcome::Failed, None, None, true),
            (Outcome::Failed, Some(200), Some(&fine), true),
            (Outcome::Panicked, Some(200), None, true),
            // A client that disconnects.
            (Outcome::Cancelled, None, None, false),
            (Outcome::Cancelled, Some(200), Some(&fine), false),
            (Outcome::Cancelled, Some(200), Some(&broken), true),
            (Outcome::Cancelled, Some(500), None, true),
        ] {
            let mut builder = Event::builder().outcome(outcome);
            if let Some(status) = status {
                builder = builder.status(StatusCode::from_u16(status).unwrap());
            }
            if let Some(call) = call {
                builder = builder.llm(call.clone());
            }
            assert_eq!(builder.build().is_error(), is_error, "{outcome} {status:?}");
        }
    }
}
