use tracing_core::field::{Value, display};

use crate::{event::Event, time::micros};

/// The fields of a [`TracingSink`](super::TracingSink)'s events.
pub(super) const FIELDS: &[&str] = &[
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

/// The values of [`FIELDS`], in their order. `None` stands for an unknown value.
pub(super) type Values<'a> = [Option<&'a dyn Value>; FIELDS.len()];

/// Calls a function with the values of an event's fields.
pub(super) fn with_values(event: &Event, record: impl FnOnce(Values<'_>)) {
    let (method, path, outcome) = (event.method().as_str(), event.path(), event.outcome().as_str());
    let id = event.id().to_string();
    let metadata = json(serde_json::to_string(event.metadata()));
    let diagnostics = event.diagnostics();
    let diagnostics = (!diagnostics.is_empty()).then(|| json(serde_json::to_string(&diagnostics)));
    let llm = LlmFields::new(event);
    record([
        Some(&display(format_args!("{method} {path} {outcome}"))),
        Some(&id.as_str()),
        Some(&event.trace().trace_id().as_str()),
        Some(&event.trace().span_id().as_str()),
        Some(&method),
        Some(&path),
        known(event.route().as_ref()),
        known(event.status().map(|status| u64::from(status.as_u16())).as_ref()),
        Some(&outcome),
        known(event.error().as_ref()),
        known(event.request_body_bytes().as_ref()),
        Some(&event.response_body_bytes()),
        Some(&micros(event.duration())),
        Some(&metadata.as_str()),
        known(diagnostics.as_ref()),
        known(llm.provider.as_ref()),
        known(llm.model.as_ref()),
        known(llm.usage_status.as_ref()),
        known(llm.input_tokens.as_ref()),
        known(llm.output_tokens.as_ref()),
        known(llm.cost_usd.as_ref()),
    ]);
}

fn known<V: Value>(value: Option<&V>) -> Option<&dyn Value> {
    value.map(|value| value as &dyn Value)
}

fn json(result: serde_json::Result<String>) -> String {
    result.unwrap_or_default()
}

/// The fields of an LLM call.
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
    fn new(event: &'a Event) -> Self {
        use crate::usage::{Money, Usage};

        let Some(llm) = event.llm() else { return Self::default() };
        Self {
            provider: llm.provider(),
            model: llm.response_model().or(llm.request_model()),
            usage_status: Some(llm.usage_status().as_str()),
            input_tokens: llm.usage().and_then(Usage::input_tokens),
            output_tokens: llm.usage().and_then(Usage::output_tokens),
            cost_usd: llm.cost().map(Money::usd),
        }
    }

    #[cfg(not(feature = "llm"))]
    fn new(_event: &'a Event) -> Self {
        Self::default()
    }
}
