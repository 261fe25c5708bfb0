//! What is known about an LLM call before it is made.

use super::{LlmEndpoint, Money, PriceQuery, RequestFacts, Usage, price::price_or_none};

/// The LLM call that a request will make, as far as its head and body show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExpectedCall {
    /// The provider that will probably serve the call.
    pub(crate) provider: Option<String>,
    /// The model that the client requests.
    pub(crate) model: Option<String>,
}

impl ExpectedCall {
    /// Describes the call to an endpoint as its event will, if the response does not contradict.
    ///
    /// Returns `None` for the retrieval of an earlier result, and for a request that is a call only if it names a model, and does
    /// not.
    pub(crate) fn new(endpoint: &LlmEndpoint, request: &RequestFacts<'_>) -> Option<Self> {
        let model = request.request_model(endpoint.model.as_deref());
        if endpoint.is_retrieval || (endpoint.is_tentative && model.is_none()) {
            return None;
        }
        Some(Self { provider: endpoint.expected_provider(model.as_deref(), request), model })
    }

    /// Returns the price of usage. `None` if it is unknown, or if pricing is off.
    pub(crate) fn price(&self, usage: &Usage, request: &RequestFacts<'_>) -> Option<Money> {
        let (_, book) = request.pricing()?;
        let mut query = PriceQuery::new(self.provider.as_deref(), self.model.as_deref()?, usage);
        query.requested_model = self.model.as_deref();
        query.service_tier = request.fields.service_tier.as_deref();
        query.time = request.time;
        query.metadata = Some(request.metadata);
        price_or_none(book, &query).map(|cost| cost.total)
    }
}
