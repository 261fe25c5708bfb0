//! A synthetic request of the demo, and the event that it causes.

use std::time::Duration;

use http::{Method, StatusCode, Version};
use tower_tagging::{
    Event, Metadata, Scope,
    event::Outcome,
    metadata::{Diagnostic, DiagnosticCode},
    tags,
    trace::{SpanId, TraceContext, TraceId, TraceSource},
    usage::{CatalogPrices, CostStatus, LlmCall, Operation, PriceBook, PriceQuery, Unit, Usage, UsageStatus},
};
use uuid::{Builder, Uuid};

use crate::demo_history::system_time;

/// A model, and how fast it is.
#[derive(Clone, Copy)]
pub(crate) struct Model {
    pub(crate) provider: &'static str,
    request: &'static str,
    response: &'static str,
    api: Api,
    pub(crate) has_cache: bool,
    /// The usual time to the first token, in microseconds.
    pub(crate) first_token: u64,
    /// The usual time of each token, in microseconds.
    pub(crate) per_token: u64,
}

#[derive(Clone, Copy)]
enum Api {
    Chat,
    Embeddings,
    Messages,
    Gemini,
}

const fn model(provider: &'static str, names: [&'static str; 2], api: Api, times: [u64; 2]) -> Model {
    let has_cache = !matches!(api, Api::Embeddings);
    let [request, response] = names;
    let [first_token, per_token] = times;
    Model { provider, request, response, api, has_cache, first_token, per_token }
}

pub(crate) const GPT_OLD: Model = model("openai", ["gpt-4o", "gpt-4o-2024-08-06"], Api::Chat, [420_000, 14_000]);
pub(crate) const GPT: Model = model("openai", ["gpt-5", "gpt-5-2025-08-07"], Api::Chat, [900_000, 11_000]);
pub(crate) const GPT_MINI: Model =
    model("openai", ["gpt-5-mini", "gpt-5-mini-2025-08-07"], Api::Chat, [380_000, 7_000]);
pub(crate) const EMBEDDING: Model =
    model("openai", ["text-embedding-3-small", "text-embedding-3-small"], Api::Embeddings, [60_000, 0]);
pub(crate) const CLAUDE_SONNET_OLD: Model =
    model("anthropic", ["claude-sonnet-4-0", "claude-sonnet-4-20250514"], Api::Messages, [700_000, 16_000]);
pub(crate) const CLAUDE_SONNET: Model =
    model("anthropic", ["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"], Api::Messages, [650_000, 13_000]);
pub(crate) const CLAUDE_HAIKU: Model =
    model("anthropic", ["claude-haiku-4-5", "claude-haiku-4-5-20251001"], Api::Messages, [350_000, 6_000]);
pub(crate) const GEMINI: Model =
    model("google", ["gemini-2.5-flash", "gemini-2.5-flash"], Api::Gemini, [300_000, 5_000]);
/// A model that the team trained and hosts. No catalog has its price.
pub(crate) const LLAMA: Model = model("vllm", ["acme-support-70b", "acme-support-70b"], Api::Chat, [250_000, 21_000]);

/// The caller of a request, and what it is for. Callers without a known API key have no team.
#[derive(Clone, Default)]
pub(crate) struct Caller {
    pub(crate) team: Option<&'static str>,
    pub(crate) workspace: Option<&'static str>,
    pub(crate) api_key: Option<&'static str>,
    pub(crate) tenant: Option<&'static str>,
    pub(crate) user: Option<String>,
    pub(crate) feature: Option<&'static str>,
    pub(crate) environment: &'static str,
    /// The caller sends another team than that of its API key.
    pub(crate) is_spoofing: bool,
}

/// A step of several requests that share a trace.
#[derive(Clone)]
pub(crate) struct Step {
    trace_id: [u8; 16],
    name: &'static str,
    run: Option<String>,
    tool: Option<&'static str>,
}

impl Step {
    pub(crate) fn new(trace_id: [u8; 16], name: &'static str) -> Self {
        Self { trace_id, name, run: None, tool: None }
    }

    pub(crate) fn run(mut self, id: &str) -> Self {
        self.run = Some(id.to_owned());
        self
    }

    pub(crate) fn tool(mut self, tool: Option<&'static str>) -> Self {
        self.tool = tool;
        self
    }
}

/// How a request ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Answered,
    /// The provider responds with an error status.
    Refused(u16, &'static str),
    /// The provider reports an error within a stream.
    ErrorInStream,
    /// The connection to the provider breaks.
    Broken,
    /// The client disconnects.
    Cancelled,
    /// The gateway does not know the API key.
    Rejected,
}

/// Times are in microseconds, and tokens are those that a complete answer has.
#[derive(Clone)]
pub(crate) struct Request {
    /// The time since 1970.
    pub(crate) time: u64,
    pub(crate) duration: u64,
    pub(crate) first_token: u64,
    pub(crate) model: Model,
    pub(crate) is_stream: bool,
    pub(crate) input: u64,
    pub(crate) output: u64,
    cached: u64,
    pub(crate) end: End,
    /// The id of the conversation, and the number of the turn.
    pub(crate) session: Option<(String, u64)>,
    pub(crate) step: Option<Step>,
    pub(crate) event_id: [u8; 10],
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    caller: Caller,
}

impl Request {
    pub(crate) fn new(time: u64, caller: Caller, model: Model) -> Self {
        Self {
            time,
            duration: 0,
            first_token: 0,
            model,
            is_stream: !matches!(model.api, Api::Embeddings),
            input: 0,
            output: 0,
            cached: 0,
            end: End::Answered,
            session: None,
            step: None,
            event_id: [0; 10],
            trace_id: [0; 16],
            span_id: [0; 8],
            caller,
        }
    }

    pub(crate) fn tokens(mut self, input: u64, output: u64) -> Self {
        (self.input, self.output) = (input, output);
        self
    }

    pub(crate) fn cached(mut self, cached: u64) -> Self {
        self.cached = cached;
        self
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.trace_id = step.trace_id;
        self.step = Some(step);
        self
    }

    pub(crate) fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Returns the event of the request.
    pub(crate) fn event(&self, prices: &CatalogPrices) -> Event {
        let path = self.path();
        let mut event = Event::builder()
            .id(self.id())
            .time(system_time(self.time))
            .trace(self.trace())
            .method(Method::POST)
            .route(if matches!(self.model.api, Api::Gemini) { "/v1beta/models/{call}" } else { path })
            .path(path)
            .host("llm.example.com")
            .http_version(if self.is_stream { Version::HTTP_2 } else { Version::HTTP_11 })
            .request_body_bytes(180 + self.input * 4)
            .duration(Duration::from_micros(self.duration));
        if let Some(name) = self.caller.api_key {
            event = event.api_key(name);
        }
        if let Some(slug) = self.caller.workspace {
            event = event.workspace(slug);
            if self.caller.is_spoofing {
                event =
                    event.diagnostic(Diagnostic::new(DiagnosticCode::Shadowed).with_key("team").with_detail("growth"));
            }
        }
        for (scope, tags) in self.tags() {
            event = event.tags(scope, tags);
        }
        event =
            match self.end {
                End::Rejected => return event.status(StatusCode::UNAUTHORIZED).rejection("unknown_key").build(),
                End::Refused(status, _) => {
                    event.status(StatusCode::from_u16(status).unwrap_or_default()).response_body_bytes(160)
                }
                _ => {
                    let head = Duration::from_micros(if self.is_stream { self.first_token / 2 } else { self.duration });
                    event.status(StatusCode::OK).time_to_head(head).time_to_first_byte(head).response_body_bytes(
                        if self.is_stream { 900 + self.output * 190 } else { 420 + self.output * 4 },
                    )
                }
            };
        event = match self.end {
            End::Cancelled => event.outcome(Outcome::Cancelled),
            End::Broken => event.outcome(Outcome::Failed).error("upstream_broke_off: connection reset by peer"),
            _ => event,
        };
        event.llm(self.call(prices)).build()
    }

    fn path(&self) -> &'static str {
        match self.model.api {
            Api::Chat => "/v1/chat/completions",
            Api::Embeddings => "/v1/embeddings",
            Api::Messages => "/v1/messages",
            Api::Gemini if self.is_stream => "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
            Api::Gemini => "/v1beta/models/gemini-2.5-flash:generateContent",
        }
    }

    fn id(&self) -> Uuid {
        Builder::from_unix_timestamp_millis(self.time / 1_000, &self.event_id).into_uuid()
    }

    fn trace(&self) -> TraceContext {
        // Ids without any bit set are invalid, and do not occur.
        let trace_id = TraceId::from_bytes(self.trace_id).or(TraceId::from_bytes([1; 16]));
        let span_id = SpanId::from_bytes(self.span_id).or(SpanId::from_bytes([1; 8]));
        let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else { unreachable!("these bytes are not zero") };
        let trace = TraceContext::new(trace_id, span_id);
        let Some(step) = &self.step else { return trace };
        let Some(run) = &step.run else { return trace.with_source(TraceSource::Traceparent).with_span_name(step.name) };
        let path = match step.tool {
            Some(tool) => format!("agent:{}/tool:{tool}", step.name),
            None => format!("agent:{}", step.name),
        };
        let name = step.tool.map_or_else(|| step.name.to_owned(), |tool| format!("tool:{tool}"));
        trace.with_client_trace_id(run).with_source(TraceSource::Header).with_span_name(&name).with_span_path(&path)
    }

    fn tags(&self) -> [(Scope, Metadata); 4] {
        let mut request = tags! { "environment" => self.caller.environment };
        if let Some(user) = &self.caller.user {
            request.insert("_user", user);
        }
        if let Some(feature) = self.caller.feature {
            request.insert("feature", feature);
        }
        let mut handler = Metadata::new();
        if let Some((session, turn)) = &self.session {
            handler.insert("session_id", session);
            handler.insert("turn", turn.to_string());
        }
        if let Some(step) = &self.step
            && let Some(run) = &step.run
        {
            handler.insert("agent_run_id", run);
            handler.insert("agent_step", step.name);
            if let Some(tool) = step.tool {
                handler.insert("agent_tool", tool);
            }
        }
        let one = |key: &str, value: Option<&str>| value.map_or_else(Metadata::new, |value| tags! { key => value });
        [
            (Scope::Request, request),
            (Scope::Handler, handler),
            (Scope::ApiKey, one("team", self.caller.team)),
            (Scope::Workspace, one("tenant_id", self.caller.tenant)),
        ]
    }

    fn call(&self, prices: &CatalogPrices) -> LlmCall {
        let mut call = LlmCall::builder()
            .provider(self.model.provider)
            .operation(match self.model.api {
                Api::Chat => Operation::Chat,
                Api::Embeddings => Operation::Embeddings,
                Api::Messages => Operation::Messages,
                Api::Gemini => Operation::GenerateContent,
            })
            .request_model(self.model.request)
            .stream(self.is_stream)
            .duration(Duration::from_micros(self.duration));
        match self.end {
            End::Refused(_, error) => return call.error(error).build(),
            End::ErrorInStream => call = call.error("Overloaded"),
            _ => {}
        }
        call = call.response_model(self.model.response);
        if self.is_stream {
            call = call.time_to_first_token(Duration::from_micros(self.first_token.min(self.duration)));
        }
        let is_complete = matches!(self.end, End::Answered);
        // Anthropic reports the input at the start of a stream. Other providers report usage at its end.
        if !is_complete && !matches!(self.model.api, Api::Messages) {
            return call.build();
        }
        let usage = self.usage(is_complete);
        let mut query = PriceQuery::new(Some(self.model.provider), self.model.response, &usage);
        query.requested_model = Some(self.model.request);
        query.time = system_time(self.time);
        call = match prices.price(&query) {
            Some(cost) if is_complete => call.cost(cost),
            Some(cost) => call.cost(cost).cost_status(CostStatus::Partial),
            None => call.cost_status(CostStatus::UnpricedModel),
        };
        if self.is_stream && is_complete {
            let writing = self.duration.saturating_sub(self.first_token).max(1);
            call =
                call.output_tokens_per_second(f64::from(u32::try_from(self.output * 1_000_000 / writing).unwrap_or(0)));
        }
        call = call.usage(usage);
        if is_complete { call.build() } else { call.usage_status(UsageStatus::Partial).build() }
    }

    fn usage(&self, is_complete: bool) -> Usage {
        if matches!(self.model.api, Api::Embeddings) {
            return Usage::new().with(Unit::InputTokens, self.input);
        }
        let mut usage = Usage::tokens(self.input, if is_complete { self.output } else { 1 });
        usage.set(Unit::CacheReadTokens, self.cached);
        match self.model.api {
            // A client of Anthropic marks what is to be cached.
            Api::Messages if self.session.is_some() => {
                usage.set(Unit::CacheWriteTokens, (self.input - self.cached) * 8 / 10);
            }
            Api::Chat if self.model.request.starts_with("gpt-5") && is_complete => {
                usage.set(Unit::ReasoningTokens, self.output * 3 / 10);
            }
            _ => {}
        }
        usage
    }
}
