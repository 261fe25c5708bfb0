//! Usage that is read from a response by hand.

use std::{sync::Arc, time::Duration};

use crate::{body::ContentDecoder, text::cut_name};

use super::{
    body_reader::BodyReader, framing::Framing, llm_call::LlmCall, operation::Operation, reported_call::ReportedCall,
    response_report::ResponseReport, usage::Usage, usage_record::UsageRecord, usage_status::UsageStatus, wire,
};

/// Maximum size of a JSON value that is held until it is complete, in bytes: that of the tap.
const MAX_VALUE_BYTES: usize = 64 * 1024;

impl Usage {
    /// Reads usage from the JSON body of a response, as [`UsageTap`](super::UsageTap) does.
    ///
    /// The provider is its id in the price catalog, such as `openai`, `anthropic`, `google`, or `aws`. Its conventions are
    /// applied: Anthropic, for instance, reports cached tokens in addition to the input. The record also has the model, the
    /// service tier, and everything else that the price depends on.
    ///
    /// The body may also be a single chunk of a stream, or a JSON array of chunks. If it reports no usage, or cannot be read,
    /// the record is empty, and its [status](UsageRecord::status) gives the reason.
    ///
    /// ```
    /// use tower_tagging::{Tags, usage::Usage};
    ///
    /// let body = r#"{"model":"claude-sonnet-4-5","usage":{"input_tokens":10,"cache_read_input_tokens":90,"output_tokens":5}}"#;
    /// let record = Usage::from_response("anthropic", body);
    /// assert_eq!(record.usage(), &Usage::tokens(100, 5).with(tower_tagging::usage::Unit::CacheReadTokens, 90));
    /// assert_eq!(record.model(), Some("claude-sonnet-4-5"));
    /// Tags::new().record_usage(record);
    /// ```
    pub fn from_response(provider: impl Into<String>, json: impl AsRef<[u8]>) -> UsageRecord {
        let json = json.as_ref();
        let is_list = json.trim_ascii_start().starts_with(b"[");
        read(provider.into(), Framing::for_media_type(b"application/json", is_list, MAX_VALUE_BYTES), json)
    }

    /// Reads usage from a stream of server-sent events; see [`from_response`](Self::from_response).
    ///
    /// A stream without its last event has the status [`Partial`](UsageStatus::Partial) if it has reported counts, and
    /// otherwise [`Absent`](UsageStatus::Absent).
    ///
    /// ```
    /// use tower_tagging::usage::Usage;
    ///
    /// let stream = "data: {\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n\
    ///     data: {\"model\":\"gpt-4o\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1}}\n\n\
    ///     data: [DONE]\n\n";
    /// assert_eq!(Usage::from_sse("openai", stream).usage(), &Usage::tokens(8, 1));
    /// ```
    pub fn from_sse(provider: impl Into<String>, body: impl AsRef<[u8]>) -> UsageRecord {
        let framing = Framing::for_media_type(b"text/event-stream", true, MAX_VALUE_BYTES);
        read(provider.into(), framing, body.as_ref())
    }
}

fn read(provider: String, framing: Framing, body: &[u8]) -> UsageRecord {
    let is_stream = framing.is_stream();
    let mut reader = BodyReader::new(ContentDecoder::default(), framing, is_stream, None);
    reader.read(body, Duration::ZERO);
    let (mut report, is_stream) = reader.finish(true, Duration::ZERO);
    report.resolve_service_tier();
    let provider = cut_name(provider);
    let normalize = |operation| wire::normalize(Some(&provider), report.model.as_deref(), operation, &report);
    // These two formats are only known by the operation.
    let operations = [None, Some(&Operation::Embeddings), Some(&Operation::Transcription)];
    let mut attempts = operations.into_iter().map(normalize);
    let normalized = attempts.find(|normalized| !normalized.usage.is_empty()).unwrap_or_default();
    let usage_status = status(&report, !normalized.usage.is_empty(), is_stream);
    let call = LlmCall {
        provider: Some(provider.clone()),
        response_model: report.model.take(),
        response_id: report.id.take(),
        service_tier: report.service_tier.clone(),
        response_tier: report.service_tier.take(),
        inference_geo: report.inference_geo(),
        cost_origin: normalized.cost_origin(),
        stream: is_stream,
        usage_status,
        usage: (!normalized.usage.is_empty()).then(|| normalized.usage.clone()),
        inconsistencies: normalized.inconsistencies,
        ..LlmCall::unknown()
    };
    let model = call.response_model.clone();
    let reported = ReportedCall { call, report, iterations: normalized.iterations };
    UsageRecord { usage: normalized.usage, provider: Some(provider), model, reported: Some(Arc::new(reported)) }
}

fn status(report: &ResponseReport, has_usage: bool, is_stream: bool) -> UsageStatus {
    match (has_usage, report.is_unparsed) {
        (true, false) if report.is_final && !(is_stream && report.error.is_some()) => UsageStatus::Reported,
        (true, _) => UsageStatus::Partial,
        (false, true) => UsageStatus::Unparsed,
        (false, false) => UsageStatus::Absent,
    }
}
