//! Detection of the provider that serves a call.
//!
//! Providers have the ids of the `genai-prices` catalog: `openai`, `anthropic`, `google`, `aws`, …
//!
//! A client can write any host and header, and so choose what its calls would cost. These clues count last, unless
//! the application trusts the request.

use std::{borrow::Cow, collections::HashMap, sync::Mutex};

use genai_prices::{Calculator, PriceRequest};
use http::{HeaderMap, HeaderName, Uri};

use crate::{sync::lock, text::cut_name};

use super::response_report::ResponseReport;

/// Hugging Face's router, which forwards to other providers. The catalog has an id for each of them, with this prefix.
pub(super) const HUGGING_FACE: &str = "huggingface";

const PORTKEY_PROVIDER: HeaderName = HeaderName::from_static("x-portkey-provider");
const MAJORDOMO_PROVIDER: HeaderName = HeaderName::from_static("x-majordomo-provider");

/// Everything that suggests a provider.
pub(super) struct ProviderClues<'a> {
    /// The provider that the application named for the endpoint.
    pub(super) named: Option<&'a str>,
    /// The provider that defined the path.
    pub(super) path_owner: Option<&'static str>,
    /// The provider that a gateway header of the client names.
    pub(super) hint: Option<&'a str>,
    /// The model that answered, or was asked for.
    pub(super) model: Option<&'a str>,
    /// The model in the request body.
    pub(super) requested_model: Option<&'a str>,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) response: &'a ResponseReport,
    /// The address to which all requests are forwarded.
    pub(super) upstream: Option<&'a Uri>,
    pub(super) trusts_request: bool,
}

impl ProviderClues<'_> {
    /// Returns the provider that serves the call: the one that the application named, else the one at the upstream's address,
    /// else the first one that the response, the path, the model, or the request suggests.
    pub(super) fn provider(&self, catalog: &ProviderCatalog) -> Option<String> {
        if let Some(provider) = self.named {
            return Some(provider.to_owned());
        }
        let suggested = || {
            let by_response = || provider_by_response(self.response, self.model).map(Box::from);
            // Many others serve the formats of these two at the same paths.
            let by_path = || self.path_owner.filter(|owner| !["openai", "anthropic"].contains(owner)).map(Box::from);
            let by_model = || catalog.of_model(self.model?);
            let by_host = || catalog.at(self.host, self.path);
            let by_header = || self.hint.map(Box::from);
            if self.trusts_request {
                by_host().or_else(by_response).or_else(by_path).or_else(by_header).or_else(by_model)
            } else {
                by_response().or_else(by_path).or_else(by_model).or_else(by_host).or_else(by_header)
            }
        };
        let at_upstream = self.upstream.and_then(|upstream| catalog.at_upstream(upstream, self.path));
        let provider = at_upstream.or_else(suggested).or_else(|| self.path_owner.map(Box::from))?;
        Some(if &*provider == HUGGING_FACE { self.behind_hugging_face() } else { provider.into() })
    }

    fn behind_hugging_face(&self) -> String {
        // The suffix of a model names a provider, or the rule by which the router chooses one.
        const RULES: [&str; 3] = ["fastest", "cheapest", "preferred"];
        let suffix = || self.requested_model?.rsplit_once(':').map(|(_, suffix)| suffix);
        let suffix = || suffix().filter(|suffix| !RULES.contains(suffix));
        match self.response.headers.inference_provider.as_deref().or_else(suffix) {
            Some(served_by) => cut_name(format!("{HUGGING_FACE}_{served_by}")),
            None => HUGGING_FACE.to_owned(),
        }
    }
}

/// Returns the provider that is the only one to send some part of the response.
fn provider_by_response(response: &ResponseReport, model: Option<&str>) -> Option<&'static str> {
    if response.served_by.is_some() {
        return response.served_by;
    }
    let has = |key: &str| response.usage.contains_key(key);
    let has_any = |keys: &[&str]| keys.iter().any(|key| has(key));
    let has_currency = || response.usage.get("cost").is_some_and(|cost| cost.get("currency").is_some());
    if has("cost") && has("market_cost") {
        Some("vercel")
    } else if has("cost") && (response.names_upstream || has_any(&["is_byok", "cost_details"])) {
        Some("openrouter")
    } else if has("prompt_cache_hit_tokens") && model.is_none_or(|model| model.contains("deepseek")) {
        Some("deepseek")
    } else if has_any(&["search_context_size", "num_search_queries", "citation_tokens"]) || has_currency() {
        Some("perplexity")
    } else if has_any(&["num_sources_used", "cost_in_usd_ticks"]) {
        Some("x-ai")
    } else {
        None
    }
}

/// Returns the provider that a gateway header of the client names.
pub(super) fn gateway_hint(headers: &HeaderMap) -> Option<Box<str>> {
    let header = headers.get(PORTKEY_PROVIDER).or_else(|| headers.get(MAJORDOMO_PROVIDER))?;
    let name = header.to_str().ok()?.trim().to_ascii_lowercase();
    // Names with `@` are those of the user's own integrations.
    if name.is_empty() || name.starts_with('@') || name.len() > 64 {
        return None;
    }
    Some(catalog_id(&name).into())
}

/// Returns the id in the catalog of a provider that a gateway names.
pub(super) fn catalog_id(name: &str) -> &str {
    match name {
        "azure-openai" | "azure-ai" => "azure",
        "gemini" | "vertex-ai" | "vertex" => "google",
        "bedrock" | "aws-bedrock" => "aws",
        "mistral-ai" => "mistral",
        "xai" | "grok" => "x-ai",
        "perplexity-ai" => "perplexity",
        "together-ai" => "together",
        "fireworks-ai" => "fireworks",
        name => name,
    }
}

/// Returns the name in Azure's paths, which are `…/openai/deployments/{name}/…` for every operation.
pub(super) fn azure_deployment(path: &str) -> Option<&str> {
    const FOLDERS: &str = "/openai/deployments/";
    let at = memchr::memmem::find(path.as_bytes(), FOLDERS.as_bytes())?;
    path.get(at + FOLDERS.len()..)?.split('/').next()
}

/// The price catalog's patterns for providers, whose answers are cached.
#[derive(Default)]
pub(super) struct ProviderCatalog {
    urls: AnswerCache,
    /// By the path of the request.
    upstream_paths: AnswerCache,
    models: AnswerCache,
}

impl ProviderCatalog {
    /// Returns the provider at a host, by the catalog's patterns for addresses.
    fn at(&self, host: &str, path: &str) -> Option<Box<str>> {
        if host.is_empty() {
            return None;
        }
        if let Some(provider) = provider_outside_catalog(host, path) {
            return Some(provider.into());
        }
        // The patterns only cover the beginning of a path.
        let folder = path.match_indices('/').nth(5).map_or(path, |(end, _)| path.get(..=end).unwrap_or(path));
        self.urls.get(&format!("https://{host}{folder}"), |url| {
            Calculator::bundled().find_provider(None, Some(url)).ok().flatten().map(|provider| provider.id().into())
        })
    }

    /// Returns the provider at the upstream's address.
    fn at_upstream(&self, upstream: &Uri, path: &str) -> Option<Box<str>> {
        self.upstream_paths.get(path, |path| {
            let base = upstream.path().trim_end_matches('/');
            let path = if base.is_empty() { Cow::Borrowed(path) } else { Cow::Owned(format!("{base}{path}")) };
            self.at(upstream.host()?, &path)
        })
    }

    /// Returns the provider of a model, by the catalog's patterns for names.
    fn of_model(&self, model: &str) -> Option<Box<str>> {
        self.models.get(model, |model| {
            let usage = genai_prices::Usage::new();
            let price = Calculator::bundled().calculate(&PriceRequest::new(model, &usage)).ok()?;
            Some(price.provider_id.into())
        })
    }
}

/// Returns the provider at an address that the catalog does not have.
fn provider_outside_catalog(host: &str, path: &str) -> Option<&'static str> {
    match host {
        "api.together.ai" => Some("together"),
        "router.huggingface.co" if path.starts_with("/v1/") => Some(HUGGING_FACE),
        _ if host.starts_with("dashscope") && host.ends_with(".aliyuncs.com") => Some("alibaba"),
        _ if host.ends_with(".openrouter.ai") => Some("openrouter"),
        _ if host.starts_with("bedrock-mantle.") && host.ends_with(".api.aws") => Some("aws"),
        _ => None,
    }
}

/// A bounded cache of answers that take a while to find.
#[derive(Default)]
struct AnswerCache {
    answers: Mutex<HashMap<Box<str>, Option<Box<str>>>>,
}

impl AnswerCache {
    /// Maximum number of cached answers. Clients choose the questions.
    const MAX_ANSWERS: usize = 1024;
    /// Longest question whose answer is cached, in bytes.
    const MAX_QUESTION_BYTES: usize = 256;

    fn get(&self, question: &str, find: impl FnOnce(&str) -> Option<Box<str>>) -> Option<Box<str>> {
        if question.len() > Self::MAX_QUESTION_BYTES {
            return find(question);
        }
        if let Some(answer) = lock(&self.answers).get(question) {
            return answer.clone();
        }
        let answer = find(question);
        let mut answers = lock(&self.answers);
        if answers.len() >= Self::MAX_ANSWERS {
            answers.clear();
        }
        answers.insert(question.into(), answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{ProviderCatalog, ProviderClues, ResponseReport, gateway_hint};

    fn clues(response: &ResponseReport) -> ProviderClues<'_> {
        ProviderClues {
            named: None,
            path_owner: Some("openai"),
            hint: Some("groq"),
            model: Some("claude-sonnet-4-5"),
            requested_model: None,
            host: "api.mistral.ai",
            path: "/v1/chat/completions",
            response,
            upstream: None,
            trusts_request: false,
        }
    }

    #[test]
    fn the_host_counts_only_if_the_request_is_trusted_or_nothing_else_helps() {
        let (catalog, response) = (ProviderCatalog::default(), ResponseReport::default());
        let provider = |clues: ProviderClues<'_>| clues.provider(&catalog);
        assert_eq!(provider(clues(&response)).as_deref(), Some("anthropic"));
        assert_eq!(provider(ProviderClues { trusts_request: true, ..clues(&response) }).as_deref(), Some("mistral"));
        assert_eq!(provider(ProviderClues { model: None, ..clues(&response) }).as_deref(), Some("mistral"));
        let named = ProviderClues { named: Some("acme"), trusts_request: true, ..clues(&response) };
        assert_eq!(provider(named).as_deref(), Some("acme"));
    }

    #[test]
    fn gateway_names_become_catalog_ids() {
        let hint = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-portkey-provider", name.parse().unwrap());
            gateway_hint(&headers)
        };
        assert_eq!(hint("Vertex-AI").as_deref(), Some("google"));
        assert_eq!(hint("cohere").as_deref(), Some("cohere"));
        assert_eq!(hint("@my-integration"), None);
    }
}
