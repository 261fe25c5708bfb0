//! Reading request-scope tags out of a request.
//!
//! An [`TagSources`] says which sources are read. From the strongest to the weakest, where a weaker one only fills the
//! keys that a stronger one left open:
//!
//! | source | switched on by | key | value |
//! |---|---|---|---|
//! | JSON header, a repeated one filling what the first left open | [`json_header`](TagSources::json_header) | as in the object | strings as they are, numbers and booleans as text, arrays and objects as compact JSON text, `null` is no tag |
//! | prefixed headers | [`prefix`](TagSources::prefix) | rest of the name, [cased](TagSources::key_case) | first value of the header |
//! | allow-list | [`allow_list`](TagSources::allow_list) | header name in lower case, or the name it is given | first value of the header |
//! | W3C `baggage` | [`baggage`](TagSources::baggage) | as in the member | percent-decoded, properties dropped |
//!
//! The `user` field of a request body comes last and is read by [`RequestBodyLayer`](crate::tagging::RequestBodyLayer);
//! tags that code sets through [`Tags`](crate::Tags) come before all of them.
//!
//! ```
//! use tower_tagging::sources::TagSources;
//!
//! // What a Portkey SDK sends, and two headers of our own, one of them renamed.
//! let sources = TagSources::portkey().allow_list("x-user-id, x-tenant=tenant")?;
//!
//! // Secrets are refused by name, at build time.
//! let error = TagSources::new().allow_list("x-user-id, authorization").unwrap_err();
//! assert!(error.to_string().contains("authorization"));
//! # Ok::<(), tower_tagging::metadata::ConfigError>(())
//! ```
//!
//! # From the environment
//!
//! [`TagSources::from_env`] switches every source on and reads two variables, so that operators choose the headers:
//!
//! - `HEADERS_TO_METADATA`: the allow-list, for example `x-user-id, x-tenant=tenant`;
//! - `METADATA_PREFIXES`: prefixes separated by commas, `x-majordomo-` when it is not set.

mod allow_list;
mod baggage;
pub(crate) mod captured;
mod json;
pub(crate) mod prefix;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::prefix::KeyCase;
use self::{
    allow_list::AllowList,
    captured::{Captured, Source},
    prefix::Prefix,
};
use crate::{
    headers::{BAGGAGE, MAJORDOMO_PREFIX, PORTKEY_METADATA},
    metadata::{ConfigError, Diagnostic, DiagnosticCode, env_var, limits::TagWriter},
    text::header_text,
};

/// Headers that are never tags unless they are [opted in by name](TagSources::allow_secret).
const SECRET_HEADERS: [&str; 11] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-portkey-api-key",
    "x-majordomo-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "x-auth-token",
];

/// Which headers become tags; see the [module](self).
#[derive(Clone, Debug, Default)]
pub struct TagSources {
    json_header: Option<HeaderName>,
    strict_json: bool,
    prefixes: Vec<Prefix>,
    key_case: KeyCase,
    allow_list: AllowList,
    secrets: Vec<HeaderName>,
    baggage: bool,
}

/// Which headers are removed from a request once they are kept to be read, before the service sees it: for services that
/// forward requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StripHeaders {
    /// None: the service sees the request as it came.
    #[default]
    Nothing,
    /// Those that only concern tagging: `x-portkey-*`, `x-majordomo*`, the [JSON header](TagSources::json_header), and all that
    /// begin with a [prefix](TagSources::prefix) and are no secret. A [`TraceIdLayer`](crate::TraceIdLayer) that reads some of
    /// them belongs outside of the layer that removes them, where [`TaggingLayer`](crate::TaggingLayer) has it.
    Dialects,
    /// Those, and the ones on the [allow-list](TagSources::allow_list).
    DialectsAndAllowList,
}

impl TagSources {
    /// Reads nothing until a source is switched on.
    pub fn new() -> Self {
        Self::default()
    }

    /// The Portkey dialect: JSON in `x-portkey-metadata`.
    pub fn portkey() -> Self {
        Self { json_header: Some(PORTKEY_METADATA), ..Self::default() }
    }

    /// The Majordomo dialect: every `x-majordomo-…` header but the reserved ones.
    pub fn majordomo() -> Self {
        Self { prefixes: vec![Prefix::known(MAJORDOMO_PREFIX)], ..Self::default() }
    }

    /// Both dialects and W3C `baggage`.
    pub fn all() -> Self {
        Self { prefixes: vec![Prefix::known(MAJORDOMO_PREFIX)], baggage: true, ..Self::portkey() }
    }

    /// [`TagSources::all`] [with the environment](Self::with_env).
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the header or prefix in it that is invalid or refused.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::all().with_env()
    }

    /// Takes the prefixes from `METADATA_PREFIXES`, in place of those there are, and adds the allow-list in
    /// `HEADERS_TO_METADATA`, where those variables are set and not empty. Secrets that were
    /// [opted in](Self::allow_secret) before may stand in the list.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the header or prefix in it that is invalid or refused.
    pub fn with_env(self) -> Result<Self, ConfigError> {
        let mut sources = self;
        if let Some(prefixes) = env_var("METADATA_PREFIXES")? {
            sources.prefixes.clear();
            for prefix in prefixes.split(',').map(str::trim).filter(|prefix| !prefix.is_empty()) {
                sources = sources.prefix(prefix).map_err(|error| error.in_variable("METADATA_PREFIXES"))?;
            }
        }
        if let Some(list) = env_var("HEADERS_TO_METADATA")? {
            sources = sources.allow_list(&list).map_err(|error| error.in_variable("HEADERS_TO_METADATA"))?;
        }
        Ok(sources)
    }

    /// Reads a header that holds a JSON object.
    #[must_use]
    pub fn json_header(mut self, name: HeaderName) -> Self {
        self.json_header = Some(name);
        self
    }

    /// Answers status 400 to a request whose JSON header is no JSON object, instead of only noting a diagnostic; like
    /// [`Overflow::Reject`](super::Overflow::Reject), with the reason in the header `x-tagging-rejection`.
    #[must_use]
    pub fn strict_json(mut self) -> Self {
        self.strict_json = true;
        self
    }

    /// Reads every header whose name begins with `prefix`, in any case. An earlier prefix is stronger than a later one.
    ///
    /// The rest of the name becomes the key. `key`, `provider`, `provider-alias`, `client`, `trace-id`, `span-path` and
    /// `span-name` are no tags, nor are the header of [`json_header`](Self::json_header) and secrets, which are known by the
    /// whole name.
    ///
    /// # Errors
    /// [`ConfigError::InvalidPrefix`] when no header name can begin with `prefix`, or it is empty.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.prefixes.push(Prefix::new(prefix)?);
        Ok(self)
    }

    /// How the keys of prefixed headers are written: `user-id` (the default) or `User-Id`.
    #[must_use]
    pub fn key_case(mut self, key_case: KeyCase) -> Self {
        self.key_case = key_case;
        self
    }

    /// Reads the headers of a list in the syntax of `HEADERS_TO_METADATA`: names separated by commas, in any case, spaces
    /// ignored; the key is the name in lower case, or what stands behind `name=`. Of several headers with one key the first on
    /// the list that a request has counts: `x-user=user, x-legacy-user=user`.
    ///
    /// # Errors
    /// [`ConfigError::InvalidHeader`] or [`ConfigError::SecretHeader`] naming the first entry that can't be read.
    /// `authorization`, `proxy-authorization`, `cookie`, `set-cookie`, `x-api-key`, `api-key`, `x-portkey-api-key`,
    /// `x-majordomo-key`, `x-goog-api-key`, `x-amz-security-token` and `x-auth-token` are secret;
    /// [`allow_secret`](Self::allow_secret), called before, lets one through.
    pub fn allow_list(mut self, list: &str) -> Result<Self, ConfigError> {
        self.allow_list.add(list, |name| self.secrets.contains(name) || !is_secret(name))?;
        Ok(self)
    }

    /// Lets the allow-list read a header that is refused as a secret, by its name, also when its value is
    /// [marked sensitive](HeaderValue::is_sensitive).
    #[must_use]
    pub fn allow_secret(mut self, name: HeaderName) -> Self {
        self.secrets.push(name);
        self
    }

    /// Whether the W3C `baggage` header is read.
    #[must_use]
    pub fn baggage(mut self, read: bool) -> Self {
        self.baggage = read;
        self
    }

    /// Whether a request may be rejected for what its headers say.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict_json && self.json_header.is_some()
    }

    /// Keeps the headers that become tags, from the strongest source to the weakest.
    pub(crate) fn capture(&self, headers: &HeaderMap, captured: &mut Captured) {
        if let Some(name) = &self.json_header {
            // A second header fills what the first left open, like any weaker source.
            for value in headers.get_all(name) {
                if self.may_read(name, value, captured) {
                    captured.add(Source::JsonHeader, value);
                }
            }
        }
        for (number, prefix) in self.prefixes.iter().enumerate() {
            for name in headers.keys() {
                if prefix.rest_of(name.as_str()).is_some()
                    && self.json_header.as_ref() != Some(name)
                    && !is_secret(name)
                    // The first of a repeated one.
                    && let Some(value) = headers.get(name)
                    && self.may_read(name, value, captured)
                {
                    captured.add_named(Source::Prefixed(number), name, value);
                }
            }
        }
        for (number, (name, _)) in self.allow_list.entries().enumerate() {
            if let Some(value) = headers.get(name)
                && self.may_read(name, value, captured)
            {
                captured.add(Source::AllowListed(number), value);
            }
        }
        if self.baggage {
            for value in headers.get_all(BAGGAGE) {
                if self.may_read(&BAGGAGE, value, captured) {
                    captured.add(Source::Baggage, value);
                }
            }
        }
    }

    /// Whether the value is none that is marked sensitive, unless the header is opted in.
    fn may_read(&self, name: &HeaderName, value: &HeaderValue, captured: &mut Captured) -> bool {
        let may_read = !value.is_sensitive() || self.secrets.contains(name);
        if !may_read {
            captured.refuse(name);
        }
        may_read
    }

    /// Fills the writer with the tags of headers that this sources kept.
    pub(crate) fn read(&self, captured: &Captured, tags: &mut TagWriter<'_>) {
        for (source, name, value) in captured.iter() {
            match source {
                Source::JsonHeader => {
                    let name = self.json_header.as_ref().map_or("", HeaderName::as_str);
                    json::read(name, value, self.strict_json, tags);
                }
                Source::Prefixed(number) => {
                    if let Some(rest) = self.prefixes.get(number).and_then(|prefix| prefix.rest_of(name)) {
                        fill(name, &self.key_case.apply(rest), value, tags);
                    }
                }
                Source::AllowListed(number) => {
                    if let Some((name, key)) = self.allow_list.entry(number) {
                        fill(name.as_str(), key, value, tags);
                    }
                }
                Source::Baggage => baggage::read(&text_of(BAGGAGE.as_str(), value, tags), tags),
                Source::Refused => tags.note(Diagnostic::new(DiagnosticCode::SensitiveHeader).with_key(name)),
            }
        }
    }

    /// Removes what the service is not to see.
    pub(crate) fn strip(&self, strip: StripHeaders, headers: &mut HeaderMap) {
        if strip == StripHeaders::Nothing {
            return;
        }
        let consumed: Vec<HeaderName> = headers.keys().filter(|name| self.is_consumed(name, strip)).cloned().collect();
        for name in consumed {
            headers.remove(name);
        }
    }

    /// Whether the header belongs to a gateway dialect, or to this sources; see [`StripHeaders`].
    fn is_consumed(&self, name: &HeaderName, strip: StripHeaders) -> bool {
        let text = name.as_str();
        text.starts_with("x-portkey-")
            || text.starts_with("x-majordomo")
            || self.json_header.as_ref() == Some(name)
            // A secret is no tag, and the service may need it.
            || (self.prefixes.iter().any(|prefix| prefix.begins(text)) && !is_secret(name))
            || (strip == StripHeaders::DialectsAndAllowList && self.allow_list.contains(name))
    }
}

fn fill(name: &str, key: &str, value: &[u8], tags: &mut TagWriter<'_>) {
    let text = text_of(name, value, tags);
    tags.fill(key, &text);
}

fn is_secret(name: &HeaderName) -> bool {
    SECRET_HEADERS.contains(&name.as_str())
}

/// [`header_text`], noting when it was no UTF-8.
fn text_of<'v>(name: &str, value: &'v [u8], tags: &mut TagWriter<'_>) -> Cow<'v, str> {
    let (text, is_latin1) = header_text(value);
    if is_latin1 {
        tags.note(Diagnostic::new(DiagnosticCode::NotUtf8).with_key(name));
    }
    text
}
