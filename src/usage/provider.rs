use crate::text::cut_name;

use super::{UsageTap, config::HUGGING_FACE, exchange::LlmEndpoint, reading::Reading, request_facts::RequestFacts};

/// Who serves the exchange: what code says, the upstream's address, then marks of the response, a unique path, the model's
/// name, and what the request says, which comes before these where it is trusted; at last who speaks this way first of all.
pub(super) fn provider(
    tap: &UsageTap,
    exchange: &LlmEndpoint,
    reading: &Reading,
    model: Option<&str>,
    request: &RequestFacts<'_>,
) -> Option<String> {
    if let Some(provider) = &exchange.provider {
        return Some(provider.clone().into_owned());
    }
    let usage = |key: &str| reading.usage.contains_key(key);
    let by_response = || {
        Some(Box::from(if reading.is_groq {
            "groq"
        } else if reading.is_cerebras {
            "cerebras"
        } else if usage("cost") && usage("market_cost") {
            "vercel"
        } else if usage("cost") && (reading.served_by || usage("is_byok") || usage("cost_details")) {
            "openrouter"
        } else if usage("prompt_cache_hit_tokens") && model.is_none_or(|model| model.contains("deepseek")) {
            "deepseek"
        } else if usage("search_context_size")
            || usage("num_search_queries")
            || usage("citation_tokens")
            || reading.usage.get("cost").is_some_and(|cost| cost.get("currency").is_some())
        {
            "perplexity"
        } else if usage("num_sources_used") || usage("cost_in_usd_ticks") {
            "x-ai"
        } else {
            return None;
        }))
    };
    // Many serve the shapes of these two under the same paths.
    let by_path =
        || exchange.default_provider.filter(|provider| !["openai", "anthropic"].contains(provider)).map(Box::from);
    let by_host = || tap.provider_at(request.host, request.path);
    let by_header = || exchange.hint.clone();
    let by_model = || tap.provider_of(model?);
    let by_what_is_seen = || {
        if tap.trusts_request() {
            by_host().or_else(by_response).or_else(by_path).or_else(by_header).or_else(by_model)
        } else {
            by_response().or_else(by_path).or_else(by_model).or_else(by_host).or_else(by_header)
        }
    };
    let provider = tap.upstream_provider(request.path).or_else(by_what_is_seen);
    let provider = provider.or_else(|| exchange.default_provider.map(Box::from))?;
    if &*provider == HUGGING_FACE {
        // Or how to choose one.
        let is_choice = |suffix: &&str| ["fastest", "cheapest", "preferred"].contains(suffix);
        let suffix = || request.fields.model.as_deref()?.rsplit_once(':').map(|(_, provider)| provider);
        let suffix = || suffix().filter(|suffix| !is_choice(suffix));
        if let Some(served_by) = reading.inference_provider.as_deref().or_else(suffix) {
            return Some(cut_name(format!("{HUGGING_FACE}_{served_by}")));
        }
    }
    Some(provider.into())
}
