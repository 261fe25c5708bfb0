use std::time::SystemTime;

use crate::{Metadata, usage::usage::Usage};

/// The usage to price, and what its price depends on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PriceQuery<'a> {
    /// The id of the provider, such as `openai`, `anthropic`, `google`, or `aws`.
    ///
    /// The ids are those of the `genai-prices` catalog.
    pub provider: Option<&'a str>,
    /// The model, by the name in the response, or else the requested one.
    pub model: &'a str,
    /// The model that the client requested, if it is known. It is often an alias of `model`.
    pub requested_model: Option<&'a str>,
    /// The usage to price.
    pub usage: &'a Usage,
    /// The service tier of the response, such as `flex`, if the provider reported it.
    pub service_tier: Option<&'a str>,
    /// The region of the inference, such as `us`, if the provider reported it. Anthropic does.
    pub inference_geo: Option<&'a str>,
    /// The time of the request.
    pub time: SystemTime,
    /// The effective tags of the request.
    ///
    /// To apply per-tenant prices, match on a tag from a trusted scope. Clients can set any other tag.
    pub metadata: Option<&'a Metadata>,
}

impl<'a> PriceQuery<'a> {
    /// Creates a query for the current time, without a service tier, region, or tags.
    pub fn new(provider: Option<&'a str>, model: &'a str, usage: &'a Usage) -> Self {
        Self {
            provider,
            model,
            requested_model: None,
            usage,
            service_tier: None,
            inference_geo: None,
            time: SystemTime::now(),
            metadata: None,
        }
    }
}
