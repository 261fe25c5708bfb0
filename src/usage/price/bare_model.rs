//! Names of models without their provider.

use super::price_query::PriceQuery;

impl PriceQuery<'_> {
    /// Removes what a model's name tells about the provider: the slug of Portkey's catalog, the address in Bedrock's ARNs,
    /// the publisher in Vertex's OpenAI-compatible API, and the provider that Hugging Face forwards the call to.
    pub(crate) fn bare_model<'m>(provider: Option<&str>, model: &'m str) -> &'m str {
        // Names of models on Workers AI start with `@cf/` or `@hf/`, which is not a slug.
        let is_slug = |slug: &str| !["cf", "hf"].iter().any(|name| slug.eq_ignore_ascii_case(name));
        let model = match model.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
            Some((slug, name)) if is_slug(slug) => name,
            _ => model,
        };
        match provider {
            Some("aws") if model.starts_with("arn:") => model.rsplit('/').next().unwrap_or(model),
            Some("google") => model.strip_prefix("google/").unwrap_or(model),
            Some(provider) if provider.starts_with("huggingface") => {
                model.split_once(':').map_or(model, |(name, _)| name)
            }
            _ => model,
        }
    }
}
