use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    headers::{
        BAGGAGE, MAJORDOMO_PREFIX, MAJORDOMO_TRACE_ID, PORTKEY_METADATA, PORTKEY_PARENT_SPAN_ID, PORTKEY_TRACE_ID,
        is_reserved,
    },
    trace::TraceContext,
};

use super::{
    dialect::Dialect,
    left_out::LeftOut,
    left_out_reason::LeftOutReason,
    propagated::Propagated,
    text::{baggage_value, header_value, is_token, push_json_string},
};

const PORTKEY_SPAN_NAME: HeaderName = HeaderName::from_static("x-portkey-span-name");
const MAJORDOMO_SPAN_NAME: HeaderName = HeaderName::from_static("x-majordomo-span-name");
const MAJORDOMO_SPAN_PATH: HeaderName = HeaderName::from_static("x-majordomo-span-path");
const HELICONE_PREFIX: &str = "helicone-property-";
const HELICONE_USER_ID: HeaderName = HeaderName::from_static("helicone-user-id");
const HELICONE_SESSION_ID: HeaderName = HeaderName::from_static("helicone-session-id");
const HELICONE_SESSION_NAME: HeaderName = HeaderName::from_static("helicone-session-name");
const HELICONE_SESSION_PATH: HeaderName = HeaderName::from_static("helicone-session-path");
const LITELLM_TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
const CLOUDFLARE_METADATA: HeaderName = HeaderName::from_static("cf-aig-metadata");

/// Maximum size of the tags in one dialect, in bytes. Header names count if they contain keys.
const MAX_BYTES: usize = 8192;
/// Maximum number of members in a `baggage` header.
const MAX_BAGGAGE_MEMBERS: usize = 64;
/// Maximum number of entries that Cloudflare stores.
const MAX_CLOUDFLARE_ENTRIES: usize = 5;
/// Maximum length of a value that Portkey accepts, in characters.
const MAX_PORTKEY_CHARS: usize = 128;

/// A tag to send.
pub(super) struct OutgoingTag<'a> {
    /// The key within this service.
    pub(super) key: &'a str,
    /// The key that the destination sees.
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

/// Writes tags and the trace context in one dialect.
pub(super) struct Writer<'p> {
    dialect: Dialect,
    propagated: &'p mut Propagated,
}

impl<'p> Writer<'p> {
    pub(super) fn new(dialect: Dialect, propagated: &'p mut Propagated) -> Self {
        Self { dialect, propagated }
    }

    pub(super) fn write(mut self, tags: &[OutgoingTag<'_>], trace: Option<&TraceContext>) {
        match self.dialect {
            Dialect::Baggage => self.write_list(BAGGAGE, ["", ""], MAX_BAGGAGE_MEMBERS, tags, baggage_member),
            Dialect::Portkey => {
                self.write_list(PORTKEY_METADATA, ["{", "}"], usize::MAX, tags, portkey_member);
                self.write_trace(trace, |trace| {
                    [
                        (PORTKEY_TRACE_ID, Some(trace.display_trace_id())),
                        (PORTKEY_PARENT_SPAN_ID, Some(trace.span_id().as_str())),
                        (PORTKEY_SPAN_NAME, trace.span_name()),
                    ]
                });
            }
            Dialect::Majordomo => {
                self.write_each(tags, majordomo_header);
                self.write_trace(trace, |trace| {
                    [
                        (MAJORDOMO_TRACE_ID, Some(trace.display_trace_id())),
                        (MAJORDOMO_SPAN_PATH, trace.span_path()),
                        (MAJORDOMO_SPAN_NAME, trace.span_name()),
                    ]
                });
            }
            Dialect::Helicone => {
                self.write_each(tags, helicone_header);
                if self.propagated.headers.contains_key(HELICONE_SESSION_ID)
                    && let Some(path) = trace.and_then(TraceContext::span_path)
                {
                    set_header(&mut self.propagated.headers, HELICONE_SESSION_PATH, &format!("/{path}"));
                }
            }
            Dialect::LiteLlm => self.write_list(LITELLM_TAGS, ["", ""], usize::MAX, tags, litellm_tag),
            Dialect::Cloudflare => {
                self.write_list(CLOUDFLARE_METADATA, ["{", "}"], MAX_CLOUDFLARE_ENTRIES, tags, |tag| {
                    Ok(json_member(tag))
                });
            }
        }
    }

    /// Writes all tags into one header, separated by commas.
    fn write_list(
        &mut self,
        header: HeaderName,
        [open, close]: [&str; 2],
        max_entries: usize,
        tags: &[OutgoingTag<'_>],
        encode: impl Fn(&OutgoingTag<'_>) -> Result<String, LeftOutReason>,
    ) {
        let mut list = open.to_owned();
        let mut names: Vec<&str> = Vec::with_capacity(tags.len());
        for tag in tags {
            let entry = match () {
                () if names.contains(&tag.name) => Err(LeftOutReason::Taken),
                () if names.len() == max_entries => Err(LeftOutReason::TooMany),
                () => encode(tag),
            };
            let comma = if names.is_empty() { "" } else { "," };
            match entry {
                Ok(entry) if list.len() + comma.len() + entry.len() + close.len() > MAX_BYTES => {
                    self.leave_out(tag, LeftOutReason::TooLong);
                }
                Ok(entry) => {
                    list.push_str(comma);
                    list.push_str(&entry);
                    names.push(tag.name);
                }
                Err(reason) => self.leave_out(tag, reason),
            }
        }
        if !names.is_empty() {
            list.push_str(close);
            set_header(&mut self.propagated.headers, header, &list);
        }
    }

    /// Writes one header per tag.
    fn write_each(&mut self, tags: &[OutgoingTag<'_>], header: impl Fn(&str) -> Option<HeaderName>) {
        let mut bytes = 0;
        for tag in tags {
            let value = header_value(tag.value);
            let result = match header(tag.name) {
                None => Err(LeftOutReason::Key),
                Some(name) if self.propagated.headers.contains_key(&name) => Err(LeftOutReason::Taken),
                Some(name) if bytes + name.as_str().len() + value.len() > MAX_BYTES => Err(LeftOutReason::TooLong),
                Some(name) => {
                    bytes += name.as_str().len() + value.len();
                    let is_set = insert_header(&mut self.propagated.headers, name, value);
                    is_set.then_some(()).ok_or(LeftOutReason::Value)
                }
            };
            if let Err(reason) = result {
                self.leave_out(tag, reason);
            }
        }
    }

    fn write_trace<'t>(
        &mut self,
        trace: Option<&'t TraceContext>,
        headers: impl Fn(&'t TraceContext) -> [(HeaderName, Option<&'t str>); 3],
    ) {
        for (name, text) in trace.map(headers).into_iter().flatten() {
            if let Some(text) = text {
                set_header(&mut self.propagated.headers, name, text);
            }
        }
    }

    fn leave_out(&mut self, tag: &OutgoingTag<'_>, reason: LeftOutReason) {
        self.propagated.left_out.push(LeftOut { key: tag.key.to_owned(), dialect: self.dialect, reason });
    }
}

/// Sets a header. Returns `false` if the text is not a valid header value.
fn insert_header(headers: &mut HeaderMap, name: HeaderName, text: &str) -> bool {
    HeaderValue::from_bytes(text.as_bytes()).map(|value| headers.insert(name, value)).is_ok()
}

/// Sets a header to text that is a valid header value: list entries are checked before, and ids, names, and paths contain
/// no control characters.
pub(super) fn set_header(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    insert_header(headers, name, text);
}

fn baggage_member(tag: &OutgoingTag<'_>) -> Result<String, LeftOutReason> {
    if !is_token(tag.name) {
        return Err(LeftOutReason::Key);
    }
    Ok(format!("{}={}", tag.name, baggage_value(tag.value)))
}

fn json_member(tag: &OutgoingTag<'_>) -> String {
    let mut json = String::new();
    push_json_string(&mut json, tag.name);
    json.push(':');
    push_json_string(&mut json, tag.value);
    json
}

fn portkey_member(tag: &OutgoingTag<'_>) -> Result<String, LeftOutReason> {
    if tag.value.chars().count() > MAX_PORTKEY_CHARS { Err(LeftOutReason::TooLong) } else { Ok(json_member(tag)) }
}

fn litellm_tag(tag: &OutgoingTag<'_>) -> Result<String, LeftOutReason> {
    let is_representable = |text: &str| !text.contains(',') && HeaderValue::from_bytes(text.as_bytes()).is_ok();
    match (is_representable(tag.name), is_representable(tag.value)) {
        (false, _) => Err(LeftOutReason::Key),
        (true, false) => Err(LeftOutReason::Value),
        (true, true) => Ok(format!("{}:{}", header_value(tag.name), header_value(tag.value))),
    }
}

/// Returns the header name that consists of a prefix and a key, in lowercase. Returns `None` if it is not valid.
fn prefixed(prefix: &str, key: &str) -> Option<HeaderName> {
    if key.is_empty() { None } else { HeaderName::from_bytes(format!("{prefix}{key}").as_bytes()).ok() }
}

fn majordomo_header(key: &str) -> Option<HeaderName> {
    prefixed(MAJORDOMO_PREFIX, key).filter(|_| !is_reserved(&key.to_ascii_lowercase()))
}

fn helicone_header(key: &str) -> Option<HeaderName> {
    match key {
        "_user" => Some(HELICONE_USER_ID),
        "session_id" => Some(HELICONE_SESSION_ID),
        "session_name" => Some(HELICONE_SESSION_NAME),
        _ => prefixed(HELICONE_PREFIX, key),
    }
}
