use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use crate::{
    body::RequestFields,
    metadata::Metadata,
    usage::{ExpectedCall, LlmEndpoint, Money, RequestFacts, Usage, UsageTap},
};

use super::Tags;

/// A request at a [`Gate`](crate::tagging::Gate): after its tags are merged, and before the service.
#[derive(Clone, Debug)]
pub struct GatedRequest {
    id: Uuid,
    time: SystemTime,
    metadata: Metadata,
    api_key: Option<Arc<str>>,
    workspace: Option<Arc<str>>,
    virtual_key: Option<Arc<str>>,
    chosen_provider: Option<Arc<str>>,
    route: Option<String>,
    host: String,
    path: String,
    fields: RequestFields,
    body_bytes: Option<u64>,
    call: Option<ExpectedCall>,
    tap: Option<UsageTap>,
}

impl Tags {
    /// Describes the request for a gate. Returns `None` if it has no event, because nothing would report its end.
    pub(crate) fn gated(
        &self,
        endpoint: Option<&LlmEndpoint>,
        tap: Option<&UsageTap>,
        body_bytes: Option<u64>,
    ) -> Option<GatedRequest> {
        let metadata = self.metadata();
        let mut request = self.change(|request| {
            let facts = request.facts();
            request.is_claimed().then(|| GatedRequest {
                id: facts.id,
                time: facts.time,
                metadata,
                api_key: facts.api_key.clone(),
                workspace: facts.workspace.clone(),
                virtual_key: facts.virtual_key.clone(),
                chosen_provider: request.unsettled.provider.clone(),
                route: facts.route().map(str::to_owned),
                host: facts.host.clone(),
                path: facts.path.clone(),
                fields: request.unsettled.fields.clone(),
                body_bytes,
                call: None,
                tap: tap.cloned(),
            })
        })??;
        request.call = endpoint.and_then(|endpoint| ExpectedCall::new(endpoint, &request.facts()));
        Some(request)
    }
}

impl GatedRequest {
    /// Creates a request that is not an LLM call, for tests of gates.
    pub fn new(id: Uuid, time: SystemTime, metadata: Metadata) -> Self {
        Self {
            id,
            time,
            metadata,
            api_key: None,
            workspace: None,
            virtual_key: None,
            chosen_provider: None,
            route: None,
            host: String::new(),
            path: String::new(),
            fields: RequestFields::default(),
            body_bytes: None,
            call: None,
            tap: None,
        }
    }

    /// Returns the id that the event of the request will have.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the time at which the request head was received, as on the event.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// Returns the effective metadata. Tags that a handler sets come too late.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the name of the API key.
    pub fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref()
    }

    /// Returns the slug of the workspace.
    pub fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// Returns the name of the virtual key.
    pub fn virtual_key(&self) -> Option<&str> {
        self.virtual_key.as_deref()
    }

    /// Returns the route, if the layer is applied after routing.
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// Returns `true` if the request is an LLM call, as far as its head shows.
    pub fn is_llm_call(&self) -> bool {
        self.call.is_some()
    }

    /// Returns the provider that will probably serve the LLM call.
    pub fn provider(&self) -> Option<&str> {
        self.call.as_ref()?.provider.as_deref()
    }

    /// Returns the model that the client requests.
    pub fn model(&self) -> Option<&str> {
        self.call.as_ref()?.model.as_deref()
    }

    /// Returns the length of the request body in bytes, if it is known.
    pub fn body_bytes(&self) -> Option<u64> {
        self.body_bytes
    }

    /// Returns the maximum number of output tokens that the client allows, of all answers together.
    pub fn max_output_tokens(&self) -> Option<u64> {
        let tokens = self.fields.max_tokens?;
        Some(tokens.saturating_mul(self.fields.choices.unwrap_or(1).max(1)))
    }

    /// Returns what usage of the requested model costs, by the price book of the layer.
    ///
    /// `None` if the request is not an LLM call, if the model has no known price, or if pricing is off.
    pub fn price(&self, usage: &Usage) -> Option<Money> {
        self.call.as_ref()?.price(usage, &self.facts())
    }

    fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            tap: self.tap.as_ref(),
            fields: &self.fields,
            time: self.time,
            host: &self.host,
            path: &self.path,
            provider: self.chosen_provider.as_deref(),
            is_success: true,
            duration: Duration::ZERO,
            metadata: &self.metadata,
        }
    }
}
