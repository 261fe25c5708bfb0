use std::ops::Range;

use http::Method;

use crate::usage::Operation;

/// A request path that belongs to an LLM API.
///
/// `path` is a pattern that the end of a request path must match, segment by segment:
///
/// | pattern | matches |
/// |---|---|
/// | `/v1/messages` | every path that ends with these segments |
/// | `^/v1/messages` | only this path |
/// | `*` | one segment without a colon |
/// | `**` | one or more segments |
/// | `v#` | a version, such as `v3` |
/// | `{*}`, `{**}`, `{name}` | the same as without braces; all segments in braces together name the model |
/// | `{*}:generateContent` | a segment that ends with this call |
///
/// If several patterns match, the most specific one wins: the one with the most literal characters. A pattern that ends with
/// `{**}` wins over all others, because no part of a model's name can be an endpoint.
pub(in crate::usage) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(in crate::usage) operation: Operation,
    /// The provider that defined the path, by its id in the price catalog. Others may serve it too.
    pub(in crate::usage) provider: Option<&'static str>,
    pub(in crate::usage) certainty: Certainty,
    /// Whether the response is a stream, if the path decides that.
    pub(in crate::usage) streams: Option<bool>,
}

/// The confidence with which a path identifies a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::usage) enum Certainty {
    /// Only LLM APIs have such paths.
    Certain,
    /// Other services may have such paths too. The call counts only if the request or the response shows an LLM.
    Tentative,
    /// A call to an LLM API that does not run a model.
    Excluded,
}

impl Route {
    /// Creates a `POST` route that only LLM APIs have.
    pub(super) const fn certain(path: &'static str, operation: Operation, provider: &'static str) -> Self {
        Self::new(path, operation, Some(provider), Certainty::Certain, None)
    }

    /// Creates a `POST` route that other services may have too.
    pub(super) const fn tentative(path: &'static str, operation: Operation, provider: &'static str) -> Self {
        Self::new(path, operation, Some(provider), Certainty::Tentative, None)
    }

    /// Creates a `POST` route that only LLM APIs have and that decides whether the response is a stream.
    pub(super) const fn streaming(
        path: &'static str,
        operation: Operation,
        provider: &'static str,
        streams: bool,
    ) -> Self {
        Self::new(path, operation, Some(provider), Certainty::Certain, Some(streams))
    }

    /// Creates a `GET` route that other services may have too.
    pub(super) const fn tentative_get(path: &'static str, operation: Operation, provider: &'static str) -> Self {
        let (method, certainty) = (Method::GET, Certainty::Tentative);
        Self { method, path, operation, provider: Some(provider), certainty, streams: None }
    }

    /// Creates a `POST` route of an LLM API that does not run a model.
    pub(super) const fn excluded(path: &'static str) -> Self {
        Self::new(path, Operation::Chat, None, Certainty::Excluded, None)
    }

    pub(super) const fn new(
        path: &'static str,
        operation: Operation,
        provider: Option<&'static str>,
        certainty: Certainty,
        streams: Option<bool>,
    ) -> Self {
        Self { method: Method::POST, path, operation, provider, certainty, streams }
    }

    /// Returns the part of the path that names the model (empty if the pattern has none), or `None` if the path does not
    /// match.
    pub(super) fn captures<'p>(&self, path: &'p str) -> Option<&'p str> {
        let model = match (self.path.rsplit_once(':'), split_call(path)) {
            (Some((pattern, call)), Some((stem, path_call))) if call == path_call => match_end(pattern, stem)?,
            (Some(_), _) => return None,
            (None, _) => match_end(self.path, path)?,
        };
        path.get(model)
    }

    /// Returns the last segment of the pattern, or the call if it ends with one. Returns `None` if it has wildcards.
    pub(super) fn key(&self) -> Option<&'static str> {
        let (_, last) = self.path.rsplit_once(['/', ':'])?;
        (!last.contains('*')).then_some(last)
    }

    /// Returns the rank among routes that match the same path.
    pub(super) fn specificity(&self) -> (bool, usize) {
        let literals = self.path.bytes().filter(|byte| !b"*#{}".contains(byte)).count();
        (self.path.ends_with("{**}"), literals)
    }
}

/// Returns the segment that [`Route::key`] is compared with.
pub(super) fn key_of_path(path: &str) -> &str {
    let (_, last) = path.rsplit_once('/').unwrap_or_default();
    split_call(last).map_or(last, |(_, call)| call)
}

/// Splits the call off a path such as `/models/gemini-2.5-pro:generateContent`. Some clients encode the colon.
fn split_call(path: &str) -> Option<(&str, &str)> {
    let start = path.rfind('/').map_or(0, |at| at + 1);
    let last = path.get(start..)?;
    let (stem, call) = last.rsplit_once(':').or_else(|| last.rsplit_once("%3A")).or_else(|| last.rsplit_once("%3a"))?;
    Some((path.get(..start + stem.len())?, call))
}

/// Matches the end of a path and returns the range of its segments that are in braces in the pattern, which may be empty.
fn match_end(pattern: &str, path: &str) -> Option<Range<usize>> {
    let Some((patterns, last)) = pattern.rsplit_once('/') else {
        // The beginning of the pattern. `^` allows nothing before it.
        return (pattern.is_empty() || path.is_empty()).then_some(0..0);
    };
    let (segment, is_model) = match last.strip_prefix('{').and_then(|last| last.strip_suffix('}')) {
        Some(inner) => (inner, true),
        None => (last, false),
    };
    let mut before = path;
    loop {
        let start = before.rfind('/')?;
        let text = path.get(start + 1..)?;
        before = before.get(..start)?;
        if (segment == "**" || matches_segment(segment, text, is_model))
            && let Some(inner) = match_end(patterns, before)
        {
            if !is_model {
                return Some(inner);
            }
            let model_start = if inner.is_empty() { start + 1 } else { inner.start };
            return Some(model_start..path.len());
        }
        if segment != "**" {
            return None;
        }
    }
}

fn matches_segment(pattern: &str, text: &str, is_model: bool) -> bool {
    match pattern {
        "*" => !text.is_empty() && (is_model || split_call(text).is_none()),
        "v#" => text.strip_prefix('v').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())),
        literal => literal == text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, Route};

    fn captures<'p>(pattern: &'static str, path: &'p str) -> Option<&'p str> {
        Route::certain(pattern, Operation::Chat, "openai").captures(path)
    }

    #[test]
    fn matches_whole_segments_from_the_end() {
        assert_eq!(captures("/v1/messages", "/proxy/v1/messages"), Some(""));
        assert_eq!(captures("/v1/messages", "/xv1/messages"), None);
        assert_eq!(captures("/v1/messages", "/messages"), None);
        assert_eq!(captures("^/responses", "/responses"), Some(""));
        assert_eq!(captures("^/responses", "/v1/responses"), None);
        assert_eq!(captures("/v#/responses", "/api/v12/responses"), Some(""));
        assert_eq!(captures("/v#/responses", "/api/vx/responses"), None);
        assert_eq!(captures("/jobs/*", "/v1/jobs/7"), Some(""));
        assert_eq!(captures("/jobs/*", "/v1/jobs/7:run"), None);
        assert_eq!(captures("/a/**/z", "/a/b/c/z"), Some(""));
        assert_eq!(captures("/a/**/z", "/a/z"), None);
    }

    #[test]
    fn captures_the_model() {
        assert_eq!(captures("/model/{**}/invoke", "/model/arn:aws/nova/invoke"), Some("arn:aws/nova"));
        assert_eq!(captures("/{@cf}/{**}", "/run/@cf/meta/llama"), Some("@cf/meta/llama"));
        assert_eq!(captures("/{*}:predict", "/models/text-embedding:predict"), Some("text-embedding"));
        assert_eq!(captures("/{*}:predict", "/models/text-embedding%3Apredict"), Some("text-embedding"));
        assert_eq!(captures("/{*}:predict", "/models/text-embedding:other"), None);
        assert_eq!(captures("/names/{*}/run/*", "/names/x/run/1"), Some("x"));
    }
}
