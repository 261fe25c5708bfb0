use std::borrow::Cow;

use super::operation::Operation;

/// The LLM API call that a request makes, as far as its head shows.
///
/// With the feature `llm`, `LlmEndpoint::detect` recognizes the paths of common APIs. For your own routes, return an endpoint
/// from `UsageTap::endpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmEndpoint {
    pub(super) operation: Operation,
    /// The provider, if the application or the path names it.
    pub(super) provider: Option<Cow<'static, str>>,
    /// The provider that defined the path, as a last resort.
    pub(super) default_provider: Option<&'static str>,
    /// The provider that a gateway header of the client names. It may name anything.
    pub(super) hint: Option<Box<str>>,
    pub(super) model: Option<String>,
    pub(super) stream: Option<bool>,
    /// Other services may have the same path. Without a sign of an LLM in the request or response, this is not a call.
    pub(super) is_tentative: bool,
    /// The request retrieves the result of an earlier call.
    pub(super) is_retrieval: bool,
}

impl LlmEndpoint {
    /// Creates an endpoint of a provider.
    ///
    /// The provider is an id of the `genai-prices` catalog: `openai`, `anthropic`, `google`, …
    pub fn new(provider: impl Into<Cow<'static, str>>, operation: Operation) -> Self {
        Self {
            operation,
            provider: Some(provider.into()),
            default_provider: None,
            hint: None,
            model: None,
            stream: None,
            is_tentative: false,
            is_retrieval: false,
        }
    }

    /// Sets the model, for requests whose body does not name one.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Marks a response of type `application/json` as a stream of several documents.
    ///
    /// Server-sent events and other framings are recognized by their content type.
    #[must_use]
    pub fn streams(mut self) -> Self {
        self.stream = Some(true);
        self
    }

    /// Returns the operation that the request asks for.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }
}
