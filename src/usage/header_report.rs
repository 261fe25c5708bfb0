use http::HeaderMap;
use serde_json::{Map, Value};

use crate::text::{MAX_NAME_CHARS, truncated};

use super::Money;

/// Facts about a call that providers and gateways report in response headers.
#[derive(Debug, Default)]
pub(crate) struct HeaderReport {
    /// Bedrock's counts, by the names that they have in response bodies.
    pub(super) metrics: Map<String, Value>,
    /// The service tier of Bedrock or Gemini.
    pub(super) service_tier: Option<String>,
    /// The provider to which Hugging Face forwarded the call.
    pub(super) inference_provider: Option<String>,
    /// A gateway answered from its cache.
    pub(super) is_from_cache: bool,
    /// The cost that LiteLLM computed. LiteLLM cannot know it yet when a stream starts.
    pub(super) cost: Option<Money>,
}

impl HeaderReport {
    /// Reads the headers. Returns `None` if they report nothing, as for most responses.
    pub(super) fn read(headers: &HeaderMap) -> Option<Box<Self>> {
        let mut report: Option<Box<Self>> = None;
        for (name, value) in headers {
            let Some(kind) = HeaderKind::of(name.as_str()) else { continue };
            let Some(text) = value.to_str().ok().map(str::trim).filter(|text| !text.is_empty()) else { continue };
            report.get_or_insert_default().take(kind, text);
        }
        report
    }

    fn take(&mut self, kind: HeaderKind, text: &str) {
        let name = || Some(truncated(text, MAX_NAME_CHARS).to_owned());
        match kind {
            HeaderKind::Count(key) => {
                if let Ok(count) = text.parse::<u64>() {
                    self.metrics.insert(key.to_owned(), count.into());
                }
            }
            HeaderKind::ServiceTier => self.service_tier = name(),
            HeaderKind::InferenceProvider => self.inference_provider = name(),
            HeaderKind::Cost => self.cost = text.parse().ok().and_then(Money::from_usd),
            // A hit may be qualified, as in `SEMANTIC HIT`.
            HeaderKind::CacheStatus => self.is_from_cache |= text.to_ascii_uppercase().ends_with("HIT"),
        }
    }
}

#[derive(Clone, Copy)]
enum HeaderKind {
    /// A count, with its name in response bodies.
    Count(&'static str),
    ServiceTier,
    InferenceProvider,
    CacheStatus,
    Cost,
}

impl HeaderKind {
    fn of(header: &str) -> Option<Self> {
        Some(match header {
            "x-amzn-bedrock-input-token-count" => Self::Count("inputTokenCount"),
            "x-amzn-bedrock-output-token-count" => Self::Count("outputTokenCount"),
            "x-amzn-bedrock-cache-read-input-token-count" => Self::Count("cacheReadInputTokenCount"),
            "x-amzn-bedrock-cache-write-input-token-count" => Self::Count("cacheWriteInputTokenCount"),
            "x-amzn-bedrock-service-tier" | "x-gemini-service-tier" => Self::ServiceTier,
            "x-inference-provider" => Self::InferenceProvider,
            "x-litellm-response-cost" => Self::Cost,
            "cf-aig-cache-status" | "x-portkey-cache-status" | "helicone-cache" | "x-openrouter-cache-status" => {
                Self::CacheStatus
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::HeaderReport;

    #[test]
    fn allocates_nothing_for_headers_without_facts() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        assert!(HeaderReport::read(&headers).is_none());
    }

    #[test]
    fn reads_counts_and_cache_status() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-bedrock-input-token-count", "12".parse().unwrap());
        headers.insert("x-amzn-bedrock-output-token-count", "many".parse().unwrap());
        headers.insert("x-portkey-cache-status", "SEMANTIC HIT".parse().unwrap());
        let report = HeaderReport::read(&headers).unwrap();
        assert_eq!(serde_json::to_string(&report.metrics).unwrap(), r#"{"inputTokenCount":12}"#);
        assert!(report.is_from_cache);
    }
}
