use std::{
    collections::{HashMap, HashSet},
    fmt,
    str::FromStr,
};

use http::{Method, Version};
use opentelemetry::{KeyValue, StringValue};

use crate::{Event, event::Outcome};

/// Which names the attributes of LLM usage have: the GenAI semantic conventions are in development, and renamed some.
///
/// ```
/// use tower_tagging::otel::GenAiConventions;
///
/// assert_eq!("1.36".parse(), Ok(GenAiConventions::System));
/// assert_eq!("1.40".parse(), Ok(GenAiConventions::ProviderName));
/// assert!("9.9".parse::<GenAiConventions>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenAiConventions {
    /// Up to version 1.36: `gen_ai.system`.
    System,
    /// From version 1.37: `gen_ai.provider.name`, and the parts of usage (`gen_ai.usage.cache_read.input_tokens`, …).
    #[default]
    ProviderName,
    /// Both at once, for the time of a change.
    Both,
}

impl GenAiConventions {
    /// What the provider's name is called, in the newer and in the older names.
    #[cfg(feature = "llm")]
    pub(super) fn provider_names(self) -> (Option<&'static str>, Option<&'static str>) {
        let new = (self != Self::System).then_some("gen_ai.provider.name");
        let old = (self != Self::ProviderName).then_some("gen_ai.system");
        (new, old)
    }
}

/// The newest minor version of the 1.x semantic conventions whose names are known here.
const NEWEST_MINOR: u32 = 41;

/// Text that is no version of the semantic conventions that is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseConventionsError(String);

impl fmt::Display for ParseConventionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no version of the semantic conventions from 1.27 to 1.{NEWEST_MINOR}", self.0)
    }
}

impl std::error::Error for ParseConventionsError {}

impl FromStr for GenAiConventions {
    type Err = ParseConventionsError;

    /// Reads a version such as `1.36` or `1.36.0`, or `both`.
    ///
    /// # Errors
    /// For versions before 1.27, which had no names for usage, and for those that are not known here.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "both" {
            return Ok(Self::Both);
        }
        let unknown = || ParseConventionsError(text.to_owned());
        let minor = text.strip_prefix("1.").ok_or_else(unknown)?;
        let minor = minor.strip_suffix(".0").unwrap_or(minor);
        match minor.parse::<u32>().map_err(|_| unknown())? {
            27..=36 => Ok(Self::System),
            37..=NEWEST_MINOR => Ok(Self::ProviderName),
            _ => Err(unknown()),
        }
    }
}

/// How tags become attributes.
///
/// By default every tag does: `_user` as `user.id`, `session_id` as `session.id`, `tenant_id` as `tenant.id`, and any other
/// as `metadata.<key>`. No part of an attribute's name may begin with an underscore
/// ([naming](https://opentelemetry.io/docs/specs/semconv/general/naming/)), so leading ones are left out.
///
/// ```
/// use tower_tagging::otel::TagAttributes;
///
/// let tags = TagAttributes::new().rename("team", "app.team").deny(["card_number"]);
/// assert_eq!(tags.name_of("team").as_deref(), Some("app.team"));
/// assert_eq!(tags.name_of("_user").as_deref(), Some("user.id"));
/// assert_eq!(tags.name_of("_internal").as_deref(), Some("metadata.internal"));
/// assert_eq!(tags.name_of("card_number"), None);
/// ```
#[derive(Clone, Debug)]
pub struct TagAttributes {
    prefix: String,
    renames: HashMap<String, String>,
    allowed: Option<HashSet<String>>,
    denied: HashSet<String>,
}

impl Default for TagAttributes {
    fn default() -> Self {
        Self::new()
    }
}

impl TagAttributes {
    /// All tags, by the names above.
    pub fn new() -> Self {
        let renames = [("_user", "user.id"), ("session_id", "session.id"), ("tenant_id", "tenant.id")];
        Self {
            prefix: "metadata.".to_owned(),
            renames: renames.into_iter().map(|(key, name)| (key.to_owned(), name.to_owned())).collect(),
            allowed: None,
            denied: HashSet::new(),
        }
    }

    /// What stands before a key that is not renamed, instead of `metadata.`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Names the attribute of a tag.
    #[must_use]
    pub fn rename(mut self, key: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.renames.insert(key.into(), attribute.into());
        self
    }

    /// Only these tags become attributes.
    #[must_use]
    pub fn allow<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.allowed.get_or_insert_with(HashSet::new).extend(keys.into_iter().map(Into::into));
        self
    }

    /// These tags do not become attributes.
    #[must_use]
    pub fn deny<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.denied.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Whether there are tags that do not become attributes.
    pub(super) fn leaves_out_some(&self) -> bool {
        self.allowed.is_some() || !self.denied.is_empty()
    }

    /// The name of a tag's attribute, if it is to be one.
    pub fn name_of(&self, key: &str) -> Option<String> {
        if self.denied.contains(key) || self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(key)) {
            return None;
        }
        let name = match self.renames.get(key) {
            Some(name) => name.clone(),
            None => format!("{}{key}", self.prefix),
        };
        if !name.starts_with('_') && !name.contains("._") {
            return Some(name).filter(|name| !name.is_empty());
        }
        let parts: Vec<_> =
            name.split('.').map(|part| part.trim_start_matches('_')).filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join("."))
    }
}

/// Longest value and most attributes, by `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`, `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT` and
/// `OTEL_ATTRIBUTE_COUNT_LIMIT`.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttributeLimits {
    pub(super) count: usize,
    pub(super) value_chars: usize,
}

impl AttributeLimits {
    /// # Errors
    /// The variable whose value is no number.
    pub(super) fn from_env() -> Result<Self, String> {
        let number = |name: &str| match std::env::var(name) {
            Ok(text) if !text.is_empty() => {
                text.parse().map(Some).map_err(|_| format!("{name}: {text:?} is no number"))
            }
            _ => Ok(None),
        };
        let count = match number("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")? {
            Some(count) => Some(count),
            None => number("OTEL_ATTRIBUTE_COUNT_LIMIT")?,
        };
        let value_chars = match number("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT")? {
            Some(chars) => Some(chars),
            None => number("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")?,
        };
        Ok(Self { count: count.unwrap_or(128), value_chars: value_chars.unwrap_or(usize::MAX) })
    }
}

/// Attributes within the limits.
pub(super) struct Attributes {
    list: Vec<KeyValue>,
    limits: AttributeLimits,
    pub(super) dropped: u32,
}

impl Attributes {
    pub(super) fn new(limits: AttributeLimits) -> Self {
        Self { list: Vec::with_capacity(24), limits, dropped: 0 }
    }

    pub(super) fn text(&mut self, name: impl Into<opentelemetry::Key>, value: &str) {
        let value = crate::text::truncated(value, self.limits.value_chars);
        self.push(KeyValue::new(name, StringValue::from(value.to_owned())));
    }

    /// Of a name that is taken already, what is known stays: names are unique.
    pub(super) fn tag(&mut self, name: String, value: &str) {
        if self.list.iter().any(|attribute| attribute.key.as_str() == name) {
            self.dropped += 1;
        } else {
            self.text(name, value);
        }
    }

    pub(super) fn fixed(&mut self, name: &'static str, value: &'static str) {
        self.push(KeyValue::new(name, value));
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.push(KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX)));
    }

    #[cfg(feature = "llm")]
    pub(super) fn float(&mut self, name: &'static str, value: f64) {
        self.push(KeyValue::new(name, value));
    }

    #[cfg(feature = "llm")]
    pub(super) fn flag(&mut self, name: &'static str, value: bool) {
        self.push(KeyValue::new(name, value));
    }

    fn push(&mut self, attribute: KeyValue) {
        if self.list.len() < self.limits.count {
            self.list.push(attribute);
        } else {
            self.dropped += 1;
        }
    }

    pub(super) fn finish(self) -> (Vec<KeyValue>, u32) {
        (self.list, self.dropped)
    }
}

/// A method by its own name, if it is one of RFC 9110 or PATCH; else `_OTHER`.
pub(super) fn method_name(method: &Method) -> &'static str {
    super::metrics::METHODS.iter().find(|name| **name == method.as_str()).copied().unwrap_or("_OTHER")
}

/// The status, where it is an error by the convention of the kind.
pub(super) fn error_status(event: &Event, is_client: bool) -> Option<u16> {
    event.status().map(|status| status.as_u16()).filter(|status| *status >= if is_client { 400 } else { 500 })
}

/// Where a request failed: a status that is an error, else the outcome.
pub(super) fn error_type(event: &Event, is_client: bool) -> Option<String> {
    let status = || error_status(event, is_client).map(|status| status.to_string());
    let outcome = || Some(event.outcome().as_str().to_owned());
    match event.outcome() {
        Outcome::Failed | Outcome::Panicked => outcome(),
        // The answer that the client did not wait for was an error already.
        Outcome::Cancelled => status().or_else(outcome),
        _ => status(),
    }
}

pub(super) fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// Host and port of an authority.
pub(super) fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.contains(']') && !host.is_empty() => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

/// The port of a host that names none.
pub(super) fn default_port(event: &Event) -> u16 {
    if event.scheme() == "https" { 443 } else { 80 }
}

/// The attributes of a request by the HTTP semantic conventions (stable).
pub(super) fn http(event: &Event, is_client: bool, to: &mut Attributes) {
    let method = method_name(event.method());
    to.fixed("http.request.method", method);
    if method == "_OTHER" {
        to.text("http.request.method_original", event.method().as_str());
    }
    to.text("url.path", event.path());
    to.fixed("url.scheme", event.scheme());
    if is_client && let Some(host) = event.host() {
        // Without the query and credentials.
        to.text("url.full", &format!("{}://{host}{}", event.scheme(), event.path()));
    }
    if let Some(route) = event.route() {
        to.text("http.route", route);
    }
    if let Some(status) = event.status() {
        to.number("http.response.status_code", status.as_u16().into());
    }
    to.fixed("network.protocol.version", protocol_version(event.http_version()));
    if let Some(host) = event.host() {
        let (host, port) = host_and_port(host);
        to.text("server.address", host);
        if let Some(port) = port.or(is_client.then(|| default_port(event))) {
            to.number("server.port", port.into());
        }
    }
    if let Some(bytes) = event.request_body_bytes() {
        to.number("http.request.body.size", bytes);
    }
    if event.status().is_some() {
        to.number("http.response.body.size", event.response_body_bytes());
    }
    if let Some(kind) = error_type(event, is_client) {
        to.text("error.type", &kind);
    }
    to.fixed("tower_tagging.outcome", event.outcome().as_str());
    to.text("tower_tagging.event.id", event.id().hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
    if let Some(id) = event.trace().client_trace_id() {
        to.text("tower_tagging.client_trace_id", id);
    }
    for (name, value) in [
        ("tower_tagging.span.name", event.trace().span_name()),
        ("tower_tagging.span.path", event.trace().span_path()),
        ("tower_tagging.parent_span_id", event.trace().parent_span_id()),
        ("tower_tagging.linked_trace_id", event.trace().linked_trace_id()),
    ] {
        if let Some(value) = value {
            to.text(name, value);
        }
    }
}

/// The attributes of LLM usage by the GenAI semantic conventions (in development), and of its cost by names of our own.
#[cfg(feature = "llm")]
pub(super) fn gen_ai(llm: &crate::usage::LlmCall, conventions: GenAiConventions, to: &mut Attributes) {
    use crate::usage::Unit;

    let is_new = conventions != GenAiConventions::System;
    if let Some(operation) = llm.operation() {
        to.text("gen_ai.operation.name", operation_name(operation));
    }
    if let Some(provider) = llm.provider() {
        let (new, old) = conventions.provider_names();
        // The older name has an older value.
        let old_value = if provider == "x-ai" { "xai" } else { provider_name(provider) };
        for (name, value) in [(new, provider_name(provider)), (old, old_value)] {
            if let Some(name) = name {
                to.text(name, value);
            }
        }
    }
    for (name, value) in [
        ("gen_ai.request.model", llm.request_model()),
        ("gen_ai.response.model", llm.response_model()),
        ("gen_ai.response.id", llm.response_id()),
        ("tower_tagging.service_tier", llm.service_tier()),
        ("tower_tagging.price.source", llm.price_source()),
    ] {
        if let Some(value) = value {
            to.text(name, value);
        }
    }
    to.flag("gen_ai.request.stream", llm.is_stream());
    for (name, unit, since_1_37) in [
        ("gen_ai.usage.input_tokens", Unit::InputTokens, false),
        ("gen_ai.usage.output_tokens", Unit::OutputTokens, false),
        ("gen_ai.usage.cache_read.input_tokens", Unit::CacheReadTokens, true),
        ("gen_ai.usage.cache_creation.input_tokens", Unit::CacheWriteTokens, true),
        ("gen_ai.usage.reasoning.output_tokens", Unit::ReasoningTokens, true),
    ] {
        if let Some(count) = llm.usage().and_then(|usage| usage.get(unit))
            && (is_new || !since_1_37)
        {
            to.number(name, count);
        }
    }
    if let Some(time) = llm.time_to_first_token() {
        to.float("gen_ai.response.time_to_first_chunk", time.as_secs_f64());
    }
    to.fixed("tower_tagging.usage.status", llm.usage_status().as_str());
    to.fixed("tower_tagging.cost.status", llm.cost_status().as_str());
    for (name, cost) in [
        ("tower_tagging.cost.usd", llm.cost()),
        ("tower_tagging.cost.input_usd", llm.input_cost()),
        ("tower_tagging.cost.output_usd", llm.output_cost()),
    ] {
        if let Some(cost) = cost {
            to.float(name, cost.usd());
        }
    }
}

/// The well-known value of `gen_ai.provider.name` for an id of the price catalog.
#[cfg(feature = "llm")]
pub(super) fn provider_name(provider: &str) -> &str {
    match provider {
        "aws" => "aws.bedrock",
        "azure" => "azure.ai.openai",
        "google" => "gcp.gen_ai",
        "mistral" => "mistral_ai",
        "x-ai" => "x_ai",
        other => other,
    }
}

/// The well-known value of `gen_ai.operation.name`, where there is one.
#[cfg(feature = "llm")]
pub(super) fn operation_name(operation: &crate::usage::Operation) -> &str {
    use crate::usage::Operation;
    match operation {
        Operation::Chat | Operation::Responses | Operation::Messages | Operation::Converse => "chat",
        Operation::Interactions => "generate_content",
        Operation::Completions | Operation::Generate | Operation::InvokeModel => "text_completion",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::error_type;
    use crate::{Event, event::Outcome};

    /// A client that hangs up is no error of the service; that it was being told of one is.
    #[test]
    fn an_error_that_nobody_waited_for_is_one() {
        let event = |status: u16, outcome| {
            Event::builder().status(http::StatusCode::from_u16(status).unwrap()).outcome(outcome).build()
        };
        for (status, outcome, of_server, of_client) in [
            (200, Outcome::Cancelled, Some("cancelled"), Some("cancelled")),
            (404, Outcome::Cancelled, Some("cancelled"), Some("404")),
            (503, Outcome::Cancelled, Some("503"), Some("503")),
            (503, Outcome::Completed, Some("503"), Some("503")),
            (503, Outcome::Panicked, Some("panicked"), Some("panicked")),
            (404, Outcome::Completed, None, Some("404")),
            (200, Outcome::Completed, None, None),
        ] {
            let event = event(status, outcome);
            assert_eq!(error_type(&event, false).as_deref(), of_server, "{status} {outcome}");
            assert_eq!(error_type(&event, true).as_deref(), of_client, "{status} {outcome}");
        }
    }
}
