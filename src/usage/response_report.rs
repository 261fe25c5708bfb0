use std::time::Duration;

use serde_json::{Map, Value};

use crate::text::cut_name;

use super::{
    document::Document,
    field::{EventEffect, Field, UsageKind},
    header_report::HeaderReport,
    merge_counts::merge_counts,
    provider_error::{UNKNOWN_ERROR, error_text},
    tool_counts::ToolCounts,
    values::{name_text, without_arn},
};

/// Everything that a response has reported about the call so far, in the provider's own words.
#[allow(clippy::struct_excessive_bools, reason = "each is an independent fact about the response")]
#[derive(Debug, Default)]
pub(crate) struct ResponseReport {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) service_tier: Option<String>,
    pub(super) headers: HeaderReport,
    /// The provider (its id in the price catalog) that is the only one to send some member of the response.
    pub(super) served_by: Option<&'static str>,
    /// The response names the provider that a router chose.
    pub(super) names_upstream: bool,
    /// All reported counts, with the last value of each.
    pub(super) usage: Map<String, Value>,
    /// The counts are those of a choice. The response as a whole has none yet.
    usage_is_of_choice: bool,
    /// Bedrock's own counts, from headers or from the end of a stream.
    pub(super) metrics: Map<String, Value>,
    /// The counts are final.
    pub(super) is_final: bool,
    /// The document being read marks the counts as final, possibly before it reports them.
    is_ending: bool,
    /// The format marks its end, so a body that ends without the mark is incomplete.
    pub(super) announces_end: bool,
    /// The end of the answer was reported. Its counts may follow.
    pub(super) has_finished: bool,
    /// The stream's own end marker was seen. Clients may hang up from here on.
    pub(super) has_end_marker: bool,
    /// The error that the response contains.
    pub(super) error: Option<String>,
    /// The call runs in the background.
    pub(super) is_background: bool,
    /// The call is not over.
    pub(super) is_pending: bool,
    /// An Anthropic model declined to answer.
    pub(super) is_refused: bool,
    /// The response could not be read, or not to its end.
    pub(super) is_unparsed: bool,
    pub(super) tools: ToolCounts,
    /// The length of transcribed audio, in seconds, reported outside of the usage object.
    pub(super) duration: Option<Value>,
    /// The time from the request head to the first content.
    pub(super) first_token: Option<Duration>,
    document: Document,
}

impl ResponseReport {
    /// Creates a report that contains only what the headers reported.
    pub(super) fn new(headers: Option<Box<HeaderReport>>) -> Self {
        let mut headers = headers.map(|headers| *headers).unwrap_or_default();
        Self { metrics: std::mem::take(&mut headers.metrics), headers, ..Self::default() }
    }

    /// Returns `true` once the model is known, which streams report in their first events.
    pub(super) fn has_head(&self) -> bool {
        self.model.is_some()
    }

    /// Returns `true` if anything suggests that an LLM answered.
    pub(super) fn is_llm(&self) -> bool {
        self.model.is_some() || !self.usage.is_empty() || !self.metrics.is_empty() || self.tools.embedded_tokens > 0
    }

    /// Returns the region of the inference, which Anthropic reports.
    pub(super) fn inference_geo(&self) -> Option<String> {
        let geo = self.usage.get("inference_geo").and_then(Value::as_str)?;
        Some(cut_name(geo.to_owned()))
    }

    /// Discards everything read from a body that turned out to be unreadable or incomplete.
    pub(super) fn discard_body(&mut self) {
        *self = Self {
            is_unparsed: true,
            error: self.error.take(),
            first_token: self.first_token,
            metrics: std::mem::take(&mut self.metrics),
            headers: std::mem::take(&mut self.headers),
            ..Self::default()
        };
    }

    /// Discards all counts.
    pub(super) fn discard_counts(&mut self) {
        self.usage.clear();
        self.metrics.clear();
    }

    /// Takes a value of the current document, as it is written.
    ///
    /// Values count once their document is complete, and only if every document counts or this one has a mark. So the
    /// result does not depend on which documents without marks were skipped.
    pub(super) fn take(&mut self, field: Field, value: Option<&[u8]>, every_document_counts: bool) {
        match field {
            Field::DocumentEnd => self.end_document(every_document_counts),
            Field::Tool(field) => self.document.tools.take(field, value),
            _ => self.document.keep(field, value),
        }
    }

    /// Discards the values of a document that stays incomplete.
    pub(super) fn clear_document(&mut self) {
        self.document.clear();
    }

    fn end_document(&mut self, every_document_counts: bool) {
        if !every_document_counts && !self.document.has_mark {
            return self.document.clear();
        }
        let mut document = std::mem::take(&mut self.document);
        self.tools.merge(std::mem::take(&mut document.tools));
        self.announces_end |= document.announces_end;
        for (field, value) in document.values() {
            match value {
                Some(value) => self.apply(field, value),
                None => self.is_unparsed |= matches!(field, Field::Usage(_)),
            }
        }
        // An answer may end before its counts are reported.
        let has_counts = !(self.usage.is_empty() && self.metrics.is_empty());
        let is_ending = std::mem::take(&mut self.is_ending) && has_counts;
        self.is_final |= is_ending;
        // Gemini has no other end marker than the finish reason and the counts of its last chunk.
        self.has_end_marker |= is_ending && document.values().any(|(field, _)| field == Field::LastFinishReason);
        document.clear();
        self.document = document;
    }

    fn apply(&mut self, field: Field, value: &[u8]) {
        match field {
            Field::Id => self.id = self.id.take().or_else(|| name_text(value)),
            Field::Model => self.model = self.model.take().or_else(|| name_text(value)),
            Field::RoutedModel => self.model = name_text(value).map(|arn| without_arn(&arn).to_owned()),
            Field::ServiceTier => self.service_tier = name_text(value).or_else(|| self.service_tier.take()),
            Field::Usage(kind) => self.apply_usage(kind, value),
            Field::Count(name) | Field::Detail(name) => self.set_count(name, value),
            Field::InvocationMetrics => {
                self.end();
                self.is_unparsed |= merge_counts(&mut self.metrics, value).is_err();
            }
            Field::Background => self.is_background = value == b"true",
            Field::Status => self.is_pending = matches!(value, b"\"queued\"" | b"\"in_progress\""),
            Field::Duration => self.duration = serde_json::from_slice(value).ok(),
            Field::Event(event) => match event.effect {
                EventEffect::AnnouncesEnd | EventEffect::EchoesRequest => self.announces_end = true,
                EventEffect::Ends => self.end(),
                EventEffect::Fails => self.set_error(UNKNOWN_ERROR.to_owned()),
                EventEffect::EndsFailed => {
                    self.end();
                    self.set_error(UNKNOWN_ERROR.to_owned());
                }
                EventEffect::Counts => {}
            },
            Field::Done if value == b"true" => self.end(),
            Field::Done => self.announces_end = true,
            Field::UsageOnly => self.is_ending = true,
            Field::FinishReason | Field::LastFinishReason | Field::BlockReason => self.finish(value),
            Field::StopReason => {
                self.finish(value);
                self.is_refused |= value == b"\"refusal\"";
            }
            Field::ServedBy(provider) => self.served_by = self.served_by.or(Some(provider)),
            Field::UpstreamName => self.names_upstream = true,
            Field::Error => {
                if let Some(error) = error_text(value) {
                    self.set_error(error);
                }
            }
            Field::Tool(_) | Field::EventType | Field::Ignored | Field::DocumentEnd => {}
        }
    }

    /// Notes that the current document gives the reason for which the answer ended, unless it is `null`.
    fn finish(&mut self, reason: &[u8]) {
        let has_finished = reason != b"null";
        self.is_ending |= has_finished;
        self.has_finished |= has_finished;
    }

    /// Notes that the current document marks the end of the stream.
    fn end(&mut self) {
        self.is_ending = true;
        self.mark_end();
    }

    /// Notes that the stream's own end marker was seen.
    pub(super) fn mark_end(&mut self) {
        self.has_finished = true;
        self.has_end_marker = true;
    }

    /// Sets the error, unless a more informative one is known.
    pub(super) fn set_error(&mut self, error: String) {
        if self.error.as_deref().is_none_or(|known| known == UNKNOWN_ERROR) {
            self.error = Some(error);
        }
    }

    fn apply_usage(&mut self, kind: UsageKind, value: &[u8]) {
        match kind {
            UsageKind::OfChoice if !self.usage.is_empty() && !self.usage_is_of_choice => return,
            UsageKind::OfChoice => self.usage_is_of_choice = true,
            UsageKind::Total => self.usage_is_of_choice &= value == b"null",
            UsageKind::Running | UsageKind::Initial => self.announces_end = true,
            UsageKind::FinalOf(provider) => {
                self.served_by = self.served_by.or(Some(provider));
                self.is_ending = true;
            }
        }
        self.is_unparsed |= merge_counts(&mut self.usage, value).is_err();
        if kind == UsageKind::Initial {
            // These count what was generated before the first event: a placeholder.
            self.usage.remove("output_tokens");
            self.usage.remove("iterations");
        }
    }

    fn set_count(&mut self, name: &str, value: &[u8]) {
        match serde_json::from_slice(value) {
            Ok(Value::Null) => {}
            Ok(value) => _ = self.usage.insert(name.to_owned(), value),
            Err(_) => self.is_unparsed = true,
        }
    }

    /// Looks for the service tier among the counts (Anthropic, Gemini, Vertex AI) and in the headers (Bedrock, Gemini), if
    /// no member of the response named it.
    pub(super) fn resolve_service_tier(&mut self) {
        if self.service_tier.is_some() {
            return;
        }
        let text = |key: &str| self.usage.get(key)?.as_str();
        let vertex_tier = || match text("trafficType")? {
            "ON_DEMAND_FLEX" => Some("flex"),
            "ON_DEMAND_PRIORITY" => Some("priority"),
            "PROVISIONED_THROUGHPUT" => Some("provisioned_throughput"),
            _ => None,
        };
        // Anthropic reports its fast mode next to the tier.
        let fast_mode = text("speed").filter(|speed| *speed == "fast");
        let tier = fast_mode.or_else(|| text("service_tier")).or_else(|| text("serviceTier")).or_else(vertex_tier);
        self.service_tier = tier.map(|tier| cut_name(tier.to_owned())).or_else(|| self.headers.service_tier.take());
    }
}
