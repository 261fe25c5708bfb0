use std::borrow::Cow;

use http::request::Parts;

use crate::text::cut_name;

use super::{
    llm_endpoint::LlmEndpoint,
    provider,
    wire::{self, Certainty, Route},
};

impl LlmEndpoint {
    /// Detects the call by the method and path of a request.
    ///
    /// Returns `None` if they are not those of a known LLM API.
    ///
    /// ```
    /// use tower_tagging::usage::LlmEndpoint;
    ///
    /// let (head, ()) = http::Request::post("/v1/chat/completions").body(()).unwrap().into_parts();
    /// assert_eq!(LlmEndpoint::detect(&head).unwrap().operation().as_str(), "chat");
    /// let (head, ()) = http::Request::post("/users").body(()).unwrap().into_parts();
    /// assert!(LlmEndpoint::detect(&head).is_none());
    /// ```
    pub fn detect(head: &Parts) -> Option<Self> {
        let path = &*normalized(head.uri.path());
        let (route, model) = wire::find_route(&head.method, path)?;
        let mut endpoint = Self::of_route(route);
        if let Some(deployment) = provider::azure_deployment(path).filter(|_| model.is_empty()) {
            endpoint.default_provider = Some("azure");
            endpoint.model = Some(decoded(deployment));
        } else if !model.is_empty() {
            endpoint.model = Some(decoded(model));
        }
        endpoint.hint = provider::gateway_hint(&head.headers);
        Some(endpoint)
    }

    fn of_route(route: &Route) -> Self {
        Self {
            operation: route.operation.clone(),
            provider: None,
            default_provider: route.provider,
            hint: None,
            model: None,
            stream: route.streams,
            is_tentative: route.certainty == Certainty::Tentative,
            is_retrieval: route.certainty == Certainty::Retrieval,
        }
    }
}

/// Decodes letters, digits, and the other unreserved characters of a path, whose encoded form is equivalent (RFC 3986, section
/// 6.2.2.2). A call must not escape by its spelling.
fn normalized(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let (mut decoded, mut rest) = (String::with_capacity(path.len()), path);
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let unreserved = byte.map(char::from).filter(|byte| byte.is_ascii_alphanumeric() || "-._~".contains(*byte));
        rest = if let Some(letter) = unreserved {
            decoded.push(letter);
            after.get(2..).unwrap_or_default()
        } else {
            decoded.push('%');
            after
        };
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// Decodes a part of a path.
fn decoded(text: &str) -> String {
    cut_name(percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::LlmEndpoint;

    fn detect(method: &str, path: &str) -> Option<LlmEndpoint> {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        LlmEndpoint::detect(&request.into_parts().0)
    }

    #[test]
    fn takes_the_model_from_an_azure_deployment() {
        let endpoint = detect("POST", "/openai/deployments/my%20gpt/chat/completions?api-version=1").unwrap();
        assert_eq!(endpoint.default_provider, Some("azure"));
        assert_eq!(endpoint.model.as_deref(), Some("my gpt"));
    }

    #[test]
    fn encoded_letters_are_the_same_path() {
        for path in ["/v1/chat/%63ompletions", "/v1/ch%61t/completion%73", "/%761/chat/completions"] {
            assert_eq!(detect("POST", path).unwrap().operation.as_str(), "chat", "{path}");
        }
        let encoded = detect("POST", "/v1beta/models/my%2Fmodel%3a1:generate%43ontent").unwrap();
        assert_eq!(encoded.model.as_deref(), Some("my/model:1"));
        for path in ["/v1/chat%2Fcompletions", "/v1/chat/%6", "/v1/chat/completions%", "/%", "/%zz"] {
            assert!(detect("POST", path).is_none(), "{path}");
        }
    }

    #[test]
    fn considers_the_method() {
        assert!(detect("GET", "/v1/chat/completions").is_none());
        assert!(detect("GET", "/v1/chat/deferred-completion/1").unwrap().is_tentative);
        assert!(detect("POST", "/v1/chat/deferred-completion/1").is_none());
    }
}
