use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use tracing_core::{
    Callsite, Interest, Kind, Level, Metadata,
    field::{Field, FieldSet, Value, display},
    identify_callsite,
};

use crate::{event::Event, time::micros};

use super::Sink;

/// Emits one `tracing` event for each request, at a target and level of your choice.
///
/// The fields are plain values, so that `tracing_subscriber::fmt().json()` and every other subscriber can use them: `id`,
/// `trace_id`, `span_id`, `method`, `path`, `route`, `status`, `outcome`, `error`, `request_bytes`, `response_bytes`,
/// `duration_us`, `metadata` and `diagnostics` (the last two as JSON text), and for calls of an LLM `llm_provider`,
/// `llm_model` (the one that answered, else the one that was asked for), `llm_usage_status`, `llm_input_tokens`,
/// `llm_output_tokens` and `llm_cost_usd`. What is not known is left out.
///
/// ```
/// use tower_tagging::{EventLayer, sink::TracingSink};
///
/// let layer = EventLayer::new(TracingSink::new());
/// let quiet = EventLayer::new(TracingSink::new().target("billing").level(tracing::Level::DEBUG));
/// ```
///
/// The subscriber runs on the request's task. When it writes to a slow place, let it do so on a thread of its own (as
/// `tracing-appender` does), or use a [`Queued`](super::Queued).
///
/// Each choice of target and level registers one call site with `tracing`, which stays for the life of the process: make
/// sinks when the service starts, not for each request.
#[derive(Clone, Debug)]
pub struct TracingSink {
    target: String,
    level: Level,
    callsite: OnceLock<&'static EventCallsite>,
}

const FIELDS: &[&str] = &[
    "message",
    "id",
    "trace_id",
    "span_id",
    "method",
    "path",
    "route",
    "status",
    "outcome",
    "error",
    "request_bytes",
    "response_bytes",
    "duration_us",
    "metadata",
    "diagnostics",
    "llm_provider",
    "llm_model",
    "llm_usage_status",
    "llm_input_tokens",
    "llm_output_tokens",
    "llm_cost_usd",
];

impl Default for TracingSink {
    fn default() -> Self {
        Self::new()
    }
}

impl TracingSink {
    /// Emits at level INFO with the target `tower_tagging::event`.
    pub fn new() -> Self {
        Self { target: "tower_tagging::event".to_owned(), level: Level::INFO, callsite: OnceLock::new() }
    }

    /// Another target, for filters such as `RUST_LOG`.
    #[must_use]
    pub fn target(self, target: impl Into<String>) -> Self {
        Self { target: target.into(), callsite: OnceLock::new(), ..self }
    }

    /// Another level.
    #[must_use]
    pub fn level(self, level: Level) -> Self {
        Self { level, callsite: OnceLock::new(), ..self }
    }

    fn callsite(&self) -> &'static EventCallsite {
        self.callsite.get_or_init(|| EventCallsite::register(&self.target, self.level))
    }
}

impl Sink for TracingSink {
    fn emit(&self, event: Arc<Event>) {
        let callsite = self.callsite();
        tracing_core::dispatcher::get_default(|dispatch| {
            let metadata = callsite.metadata();
            if dispatch.enabled(metadata) {
                with_values(&event, |values| {
                    let mut pairs = callsite.fields.iter().zip(values);
                    let Some(first) = pairs.next() else { return };
                    // An array of the exact length, which a `FieldSet` asks for.
                    let pairs: [_; FIELDS.len()] =
                        std::array::from_fn(|at| if at == 0 { first } else { pairs.next().unwrap_or(first) });
                    dispatch.event(&tracing_core::Event::new(metadata, &metadata.fields().value_set(&pairs)));
                });
            }
        });
    }

    fn name(&self) -> &'static str {
        "tracing"
    }
}

type Values<'a> = [Option<&'a dyn Value>; FIELDS.len()];

fn with_values(event: &Event, emit: impl FnOnce(Values<'_>)) {
    let json = |result: serde_json::Result<String>| result.unwrap_or_default();
    let id = event.id().to_string();
    let status = event.status().map(|status| u64::from(status.as_u16()));
    let duration_us = micros(event.duration());
    let metadata = json(serde_json::to_string(event.metadata()));
    let notes = event.diagnostics();
    let diagnostics = (!notes.is_empty()).then(|| json(serde_json::to_string(&notes)));
    let trace_id = event.trace().trace_id().as_str();
    let span_id = event.trace().span_id().as_str();
    let method = event.method().as_str();
    let path = event.path();
    let (route, error) = (event.route(), event.error());
    let outcome = event.outcome().as_str();
    let request_bytes = event.request_body_bytes();
    let response_bytes = event.response_body_bytes();
    let message = format_args!("{method} {path} {outcome}");
    let message = display(message);
    let llm = LlmFields::of(event);
    emit([
        Some(&message),
        Some(&id.as_str()),
        Some(&trace_id),
        Some(&span_id),
        Some(&method),
        Some(&path),
        route.as_ref().map(|value| value as &dyn Value),
        status.as_ref().map(|value| value as &dyn Value),
        Some(&outcome),
        error.as_ref().map(|value| value as &dyn Value),
        request_bytes.as_ref().map(|value| value as &dyn Value),
        Some(&response_bytes),
        Some(&duration_us),
        Some(&metadata.as_str()),
        diagnostics.as_ref().map(|value| value as &dyn Value),
        llm.provider.as_ref().map(|value| value as &dyn Value),
        llm.model.as_ref().map(|value| value as &dyn Value),
        llm.usage_status.as_ref().map(|value| value as &dyn Value),
        llm.input_tokens.as_ref().map(|value| value as &dyn Value),
        llm.output_tokens.as_ref().map(|value| value as &dyn Value),
        llm.cost_usd.as_ref().map(|value| value as &dyn Value),
    ]);
}

/// What the event says of a call of an LLM.
#[derive(Default)]
struct LlmFields<'a> {
    provider: Option<&'a str>,
    model: Option<&'a str>,
    usage_status: Option<&'a str>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost_usd: Option<f64>,
}

impl<'a> LlmFields<'a> {
    #[cfg(feature = "llm")]
    fn of(event: &'a Event) -> Self {
        let Some(llm) = event.llm() else { return Self::default() };
        Self {
            provider: llm.provider(),
            model: llm.response_model().or(llm.request_model()),
            usage_status: Some(llm.usage_status().as_str()),
            input_tokens: llm.usage().and_then(crate::usage::Usage::input_tokens),
            output_tokens: llm.usage().and_then(crate::usage::Usage::output_tokens),
            cost_usd: llm.cost().map(crate::usage::Money::usd),
        }
    }

    #[cfg(not(feature = "llm"))]
    fn of(_event: &'a Event) -> Self {
        Self::default()
    }
}

/// A call site whose target and level are known at run time only, which `tracing`'s macros don't offer.
struct EventCallsite {
    metadata: Metadata<'static>,
    fields: Vec<Field>,
}

/// What names the call site within its own metadata.
struct CallsiteId(OnceLock<&'static EventCallsite>);

impl EventCallsite {
    fn register(target: &str, level: Level) -> &'static Self {
        let id: &'static CallsiteId = Box::leak(Box::new(CallsiteId(OnceLock::new())));
        let target: &'static str = Box::leak(target.to_owned().into_boxed_str());
        let fields = FieldSet::new(FIELDS, identify_callsite!(id));
        let callsite: &'static Self = id.0.get_or_init(|| {
            Box::leak(Box::new(Self {
                fields: fields.iter().collect(),
                metadata: Metadata::new(
                    "request",
                    target,
                    level,
                    Some(file!()),
                    Some(line!()),
                    Some(module_path!()),
                    fields,
                    Kind::EVENT,
                ),
            }))
        });
        tracing_core::callsite::register(id);
        callsite
    }

    fn metadata(&'static self) -> &'static Metadata<'static> {
        &self.metadata
    }
}

impl Callsite for CallsiteId {
    /// Each event asks whether it is wanted, so no interest is kept.
    fn set_interest(&self, _interest: Interest) {}

    #[allow(clippy::expect_used, reason = "a call site is registered only after it is set")]
    fn metadata(&self) -> &Metadata<'_> {
        &self.0.get().expect("registered").metadata
    }
}

impl fmt::Debug for EventCallsite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventCallsite").field(&self.metadata).finish()
    }
}
