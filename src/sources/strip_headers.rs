/// The headers that a layer removes from requests before it calls the service.
///
/// Use this in services that forward requests, so that headers for the gateway do not reach the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StripHeaders {
    /// Removes no headers.
    #[default]
    Nothing,
    /// Removes headers that only concern tagging.
    ///
    /// These are `x-portkey-*`, `x-majordomo*`, the [JSON header](super::TagSources::json_header), and all headers with a
    /// [prefix](super::TagSources::prefix), except those that hold secrets.
    /// A secret that [became a tag](super::TagSources::allow_secret) because of its prefix is removed too.
    ///
    /// A [`TraceIdLayer`](crate::TraceIdLayer) reads some of these headers, so apply it outside the layer that removes
    /// them. [`TaggingLayer`](crate::TaggingLayer) does so.
    Dialects,
    /// Removes the headers of [`Dialects`](Self::Dialects) and those on the [allow-list](super::TagSources::allow_list).
    DialectsAndAllowList,
}
