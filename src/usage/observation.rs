use super::{
    llm_call::LlmCall,
    llm_endpoint::LlmEndpoint,
    operation::Operation,
    provider::{ProviderClues, catalog_id},
    reported_call::ReportedCall,
    request_facts::RequestFacts,
    response_report::ResponseReport,
    usage_status::UsageStatus,
    usage_tap::UsageTap,
    wire,
};

/// An LLM endpoint that was called, and what was read of its response.
#[allow(clippy::struct_excessive_bools, reason = "each is an independent fact about the response")]
pub(super) struct Observation {
    pub(super) endpoint: LlmEndpoint,
    pub(super) report: ResponseReport,
    pub(super) is_stream: bool,
    pub(super) has_response: bool,
    /// The body reached its end.
    pub(super) has_ended: bool,
    /// The body was not empty.
    pub(super) has_body: bool,
}

impl Observation {
    /// Returns `true` if the request is an LLM call, or if code recorded a call on it and does not contradict the path.
    ///
    /// Some paths may belong to something else. Their requests are calls only if request or response mention a model or
    /// usage, or code recorded a call. A result that is retrieved counts at most once, and only if the call ran in the
    /// background: the response to any other call reported its usage already.
    pub(super) fn is_llm_call(&self, is_recorded: bool, request: &RequestFacts<'_>) -> bool {
        let report = &self.report;
        let has_result = report.is_background && !report.is_pending && !report.usage.is_empty() && request.is_success;
        let is_first = has_result && request.tap.is_none_or(|tap| tap.is_first_report(report.id.as_deref()));
        if self.endpoint.is_retrieval {
            return is_first;
        }
        let is_certain = !self.endpoint.is_tentative || is_recorded;
        is_certain || report.is_llm() || request.fields.model.is_some()
    }

    /// Returns the call as the provider reported it, without a price.
    pub(super) fn describe(self, request: &RequestFacts<'_>) -> LlmCall {
        self.into_report(request).call
    }

    /// Returns the call as the provider reported it, with its price.
    pub(super) fn price(self, request: &RequestFacts<'_>) -> LlmCall {
        self.into_report(request).price(request)
    }

    fn into_report(mut self, request: &RequestFacts<'_>) -> ReportedCall {
        if self.has_response && !request.is_success {
            // Errors are not billed, whatever their members are named.
            self.report.discard_counts();
        }
        let error = self.error(request);
        self.report.resolve_service_tier();
        let fields = request.fields;
        let request_model = request.request_model(self.endpoint.model.as_deref());
        let model = self.report.model.as_deref().or(request_model.as_deref());
        let provider = request.tap.and_then(|tap| self.provider(tap, model, request));
        let normalized = wire::normalize(provider.as_deref(), model, Some(&self.endpoint.operation), &self.report);
        let cost_origin = normalized.cost_origin();
        let usage = (!normalized.usage.is_empty()).then_some(normalized.usage);
        let call = LlmCall {
            provider,
            request_model,
            service_tier: self.report.service_tier.clone().or_else(|| fields.service_tier.clone()),
            response_tier: self.report.service_tier.take(),
            inference_geo: self.report.inference_geo(),
            stream: self.is_stream || (fields.stream == Some(true) && !self.has_readable_response(request)),
            usage_status: self.usage_status(usage.is_some(), request),
            usage,
            response_model: self.report.model.take(),
            response_id: self.report.id.take(),
            operation: Some(self.endpoint.operation),
            error,
            first_token: self.report.first_token,
            cost_origin,
            inconsistencies: normalized.inconsistencies,
            is_pending: self.report.is_background && self.report.is_pending,
            ..LlmCall::unknown()
        };
        ReportedCall { call, report: self.report, iterations: normalized.iterations }
    }

    /// Returns the error that the response contains, or that a stream ended before its last event.
    fn error(&self, request: &RequestFacts<'_>) -> Option<String> {
        let report = &self.report;
        let is_incomplete = report.announces_end && !report.is_final && !report.has_finished;
        let lacks_end = self.is_stream && self.has_ended && self.has_body && is_incomplete;
        let is_cut = || (request.is_success && lacks_end).then(|| "the stream ended before its last event".to_owned());
        report.error.clone().or_else(is_cut)
    }

    /// Returns the provider that serves the call.
    fn provider(&self, tap: &UsageTap, model: Option<&str>, request: &RequestFacts<'_>) -> Option<String> {
        provider(&self.endpoint, &self.report, tap, model, request)
    }

    /// Returns `true` if the response shows whether it was a stream. Errors are not streamed, even if a stream was requested.
    fn has_readable_response(&self, request: &RequestFacts<'_>) -> bool {
        let is_error = self.has_response && !request.is_success;
        self.report.model.is_some() || self.report.id.is_some() || is_error
    }

    fn usage_status(&self, has_usage: bool, request: &RequestFacts<'_>) -> UsageStatus {
        let report = &self.report;
        if has_usage {
            let is_complete = report.is_final && !report.is_unparsed && !(self.is_stream && report.error.is_some());
            return if is_complete { UsageStatus::Reported } else { UsageStatus::Partial };
        }
        // Transcriptions are plain text if the client asks for it.
        let may_be_text = self.endpoint.operation == Operation::Transcription;
        let should_be_readable =
            request.is_success && self.has_ended && self.has_body && report.error.is_none() && !may_be_text;
        if report.is_unparsed && should_be_readable { UsageStatus::Unparsed } else { UsageStatus::Absent }
    }
}

impl LlmEndpoint {
    /// Returns the provider that will probably serve a call.
    pub(super) fn expected_provider(&self, model: Option<&str>, request: &RequestFacts<'_>) -> Option<String> {
        provider(self, &ResponseReport::new(None), request.tap?, model, request)
    }
}

/// Returns the provider that serves a call.
fn provider(
    endpoint: &LlmEndpoint,
    response: &ResponseReport,
    tap: &UsageTap,
    model: Option<&str>,
    request: &RequestFacts<'_>,
) -> Option<String> {
    let clues = ProviderClues {
        named: request.provider.map(catalog_id).or(endpoint.provider.as_deref()),
        path_owner: endpoint.default_provider,
        hint: endpoint.hint.as_deref(),
        model,
        requested_model: request.fields.model.as_deref(),
        host: request.host,
        path: request.path,
        response,
        upstream: tap.upstream_address(),
        trusts_request: tap.trusts_request(),
    };
    clues.provider(tap.catalog())
}
