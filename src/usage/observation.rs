use super::{
    exchange::{LlmEndpoint, Operation},
    flavor,
    llm_call::LlmCall,
    provider::provider,
    reading::Reading,
    reported_call::ReportedCall,
    request_facts::RequestFacts,
    usage_status::UsageStatus,
};

/// An LLM endpoint that was called, and what was read of its response.
#[allow(clippy::struct_excessive_bools, reason = "each is an independent fact about the response")]
pub(super) struct Observation {
    pub(super) endpoint: LlmEndpoint,
    pub(super) reading: Reading,
    pub(super) is_stream: bool,
    pub(super) has_response: bool,
    /// The body reached its end.
    pub(super) has_ended: bool,
    /// The body was not empty.
    pub(super) has_body: bool,
}

impl Observation {
    /// Returns `false` if the path may belong to something else, and neither request nor response mentions a model or usage.
    pub(super) fn is_llm_call(&self, request: &RequestFacts<'_>) -> bool {
        !self.endpoint.is_tentative || self.reading.is_llm() || request.fields.model.is_some()
    }

    /// Returns the call as the provider reported it, without a price.
    pub(super) fn describe(self, request: &RequestFacts<'_>) -> LlmCall {
        self.report(request).call
    }

    /// Returns the call as the provider reported it, with its price.
    pub(super) fn price(self, request: &RequestFacts<'_>) -> LlmCall {
        self.report(request).price(request)
    }

    fn report(mut self, request: &RequestFacts<'_>) -> ReportedCall {
        self.reading.find_tier();
        let fields = request.fields;
        let request_model = request.request_model(self.endpoint.model.as_deref());
        let model = self.reading.model.as_deref().or(request_model.as_deref());
        let provider = request.tap.and_then(|tap| provider(tap, &self.endpoint, &self.reading, model, request));
        let meaning = flavor::read(provider.as_deref(), model, Some(&self.endpoint.operation), &self.reading);
        let usage = (!meaning.usage.is_empty()).then_some(meaning.usage);
        let call = LlmCall {
            provider,
            request_model,
            service_tier: self.reading.service_tier.clone().or_else(|| fields.service_tier.clone()),
            stream: self.is_stream || (fields.stream == Some(true) && !self.has_readable_response(request)),
            usage_status: self.usage_status(usage.is_some(), request),
            usage,
            response_model: self.reading.model.take(),
            response_id: self.reading.id.take(),
            operation: Some(self.endpoint.operation),
            first_token: self.reading.first_token,
            inconsistencies: meaning.inconsistencies,
            ..LlmCall::unknown()
        };
        ReportedCall { call, reading: self.reading, attempts: meaning.attempts, is_waived: meaning.is_waived }
    }

    /// Returns `true` if the response shows whether it was a stream. Errors are not streamed, even if a stream was requested.
    fn has_readable_response(&self, request: &RequestFacts<'_>) -> bool {
        let is_error = self.has_response && !request.is_success;
        self.reading.model.is_some() || self.reading.id.is_some() || is_error
    }

    fn usage_status(&self, has_usage: bool, request: &RequestFacts<'_>) -> UsageStatus {
        let reading = &self.reading;
        if has_usage {
            let is_complete = reading.is_final && !reading.is_unparsed && !(self.is_stream && reading.is_error);
            return if is_complete { UsageStatus::Reported } else { UsageStatus::Partial };
        }
        // Transcriptions are plain text if the client asks for it.
        let may_be_text = self.endpoint.operation == Operation::Transcription;
        let should_be_readable =
            request.is_success && self.has_ended && self.has_body && !reading.is_error && !may_be_text;
        if reading.is_unparsed && should_be_readable { UsageStatus::Unparsed } else { UsageStatus::Absent }
    }
}
