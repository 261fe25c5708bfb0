use std::time::{Duration, SystemTime};

use crate::{Metadata, body::request_fields::RequestFields};

use super::{UsageTap, price::PriceBook};

/// The facts about a request that its LLM call is settled with.
#[cfg_attr(not(feature = "llm"), allow(dead_code, reason = "some facts only matter to observed responses"))]
#[derive(Clone, Copy)]
pub(crate) struct RequestFacts<'a> {
    /// The configuration of reading and pricing.
    pub(crate) tap: Option<&'a UsageTap>,
    /// The fields of the request body.
    pub(crate) fields: &'a RequestFields,
    pub(crate) time: SystemTime,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// The provider that an admission chose for the request.
    pub(crate) provider: Option<&'a str>,
    pub(crate) is_success: bool,
    pub(crate) duration: Duration,
    /// The effective tags.
    pub(crate) metadata: &'a Metadata,
}

impl<'a> RequestFacts<'a> {
    /// Returns the requested model: that of the body, or else `fallback`, without the resource path that Google's SDKs send.
    pub(super) fn request_model(&self, fallback: Option<&str>) -> Option<String> {
        let model = self.fields.model.as_deref().or(fallback)?;
        Some(model.strip_prefix("models/").unwrap_or(model).to_owned())
    }

    /// Returns the price book, with the tap that counts unpriced calls. `None` if pricing is off.
    pub(super) fn pricing(&self) -> Option<(&'a UsageTap, &'a dyn PriceBook)> {
        let tap = self.tap?;
        Some((tap, tap.book()?))
    }
}
