/// A header format that a destination understands.
///
/// See [Dialects](super#dialects) for the headers and limits of each format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// W3C Baggage: all tags in the `baggage` header.
    Baggage,
    /// Portkey: all tags as JSON in `x-portkey-metadata`.
    Portkey,
    /// Majordomo: one `x-majordomo-…` header per tag.
    Majordomo,
    /// Helicone: one `helicone-property-…` header per tag.
    Helicone,
    /// LiteLLM: all tags in `x-litellm-tags`, separated by commas.
    LiteLlm,
    /// Cloudflare AI Gateway: all tags as JSON in `cf-aig-metadata`.
    Cloudflare,
}
