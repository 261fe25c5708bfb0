use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    sources::{MAJORDOMO_PREFIX, PORTKEY_METADATA, is_reserved},
    trace::{MAJORDOMO_TRACE_ID, PORTKEY_PARENT_SPAN_ID, PORTKEY_TRACE_ID, TraceContext},
};

use super::{
    LeftOut, LeftOutReason, Propagated,
    destination::Outgoing,
    text::{baggage_value, header_value, is_token, push_json_string},
};

/// A dialect in which tags go out; see the [module](super#the-dialects) for what each of them writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// W3C `baggage`.
    Baggage,
    /// Portkey: JSON in `x-portkey-metadata`.
    Portkey,
    /// Majordomo: a header `x-majordomo-…` for each tag.
    Majordomo,
    /// Helicone: a header `helicone-property-…` for each tag.
    Helicone,
    /// LiteLLM: `x-litellm-tags`, divided by commas.
    LiteLlm,
    /// Cloudflare AI Gateway: JSON in `cf-aig-metadata`.
    Cloudflare,
}

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
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

/// Most bytes of one dialect, its header names included where they hold keys.
const MAX_BYTES: usize = 8192;
/// Most members of a `baggage` header.
const MAX_BAGGAGE_MEMBERS: usize = 64;
/// Most entries that Cloudflare keeps.
const MAX_CLOUDFLARE_ENTRIES: usize = 5;
/// Longest value that Portkey takes, in characters.
const MAX_PORTKEY_CHARS: usize = 128;

/// Writes tags and trace in one dialect.
pub(super) struct Writer<'p> {
    dialect: Dialect,
    propagated: &'p mut Propagated,
}

impl<'p> Writer<'p> {
    pub(super) fn new(dialect: Dialect, propagated: &'p mut Propagated) -> Self {
        Self { dialect, propagated }
    }

    pub(super) fn write(mut self, tags: &[Outgoing<'_>], trace: Option<&TraceContext>) {
        match self.dialect {
            Dialect::Baggage => self.write_list(BAGGAGE, ["", ""], MAX_BAGGAGE_MEMBERS, tags, baggage_member),
            Dialect::Portkey => {
                self.write_list(PORTKEY_METADATA, ["{", "}"], usize::MAX, tags, portkey_member);
                self.write_trace(trace, |trace| {
                    vec![
                        (PORTKEY_TRACE_ID, Some(trace.display_trace_id())),
                        (PORTKEY_PARENT_SPAN_ID, Some(trace.span_id().as_str())),
                        (PORTKEY_SPAN_NAME, trace.span_name()),
                    ]
                });
            }
            Dialect::Majordomo => {
                self.write_each(tags, majordomo_header);
                self.write_trace(trace, |trace| {
                    vec![
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
                    set(&mut self.propagated.headers, HELICONE_SESSION_PATH, &format!("/{path}"));
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

    /// Writes tags into one header, divided by commas.
    fn write_list(
        &mut self,
        header: HeaderName,
        [open, close]: [&str; 2],
        max_entries: usize,
        tags: &[Outgoing<'_>],
        encode: impl Fn(&Outgoing<'_>) -> Result<String, LeftOutReason>,
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
            set(&mut self.propagated.headers, header, &list);
        }
    }

    /// Writes a header for each tag.
    fn write_each(&mut self, tags: &[Outgoing<'_>], header: impl Fn(&str) -> Option<HeaderName>) {
        let mut bytes = 0;
        for tag in tags {
            let value = header_value(tag.value);
            let result = match header(tag.name) {
                None => Err(LeftOutReason::Key),
                Some(name) if self.propagated.headers.contains_key(&name) => Err(LeftOutReason::Taken),
                Some(name) if bytes + name.as_str().len() + value.len() > MAX_BYTES => Err(LeftOutReason::TooLong),
                Some(name) => {
                    let len = name.as_str().len() + value.len();
                    bytes += len;
                    if insert(&mut self.propagated.headers, name, value) { Ok(()) } else { Err(LeftOutReason::Value) }
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
        headers: impl Fn(&'t TraceContext) -> Vec<(HeaderName, Option<&'t str>)>,
    ) {
        for (name, text) in trace.map(headers).into_iter().flatten() {
            if let Some(text) = text {
                set(&mut self.propagated.headers, name, text);
            }
        }
    }

    fn leave_out(&mut self, tag: &Outgoing<'_>, reason: LeftOutReason) {
        self.propagated.left_out.push(LeftOut { key: tag.key.to_owned(), dialect: self.dialect, reason });
    }
}

/// Sets a header; false where the text can't be a header value.
fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) -> bool {
    HeaderValue::from_bytes(text.as_bytes()).map(|value| headers.insert(name, value)).is_ok()
}

/// Sets a header whose text is known to be a header value: lists are checked by entry, and ids, names and paths hold no control
/// characters.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    insert(headers, name, text);
}

fn baggage_member(tag: &Outgoing<'_>) -> Result<String, LeftOutReason> {
    if !is_token(tag.name) {
        return Err(LeftOutReason::Key);
    }
    Ok(format!("{}={}", tag.name, baggage_value(tag.value)))
}

fn json_member(tag: &Outgoing<'_>) -> String {
    let mut json = String::new();
    push_json_string(&mut json, tag.name);
    json.push(':');
    push_json_string(&mut json, tag.value);
    json
}

fn portkey_member(tag: &Outgoing<'_>) -> Result<String, LeftOutReason> {
    if tag.value.chars().count() > MAX_PORTKEY_CHARS { Err(LeftOutReason::TooLong) } else { Ok(json_member(tag)) }
}

fn litellm_tag(tag: &Outgoing<'_>) -> Result<String, LeftOutReason> {
    let can_be_said = |text: &str| !text.contains(',') && HeaderValue::from_bytes(text.as_bytes()).is_ok();
    match (can_be_said(tag.name), can_be_said(tag.value)) {
        (false, _) => Err(LeftOutReason::Key),
        (true, false) => Err(LeftOutReason::Value),
        (true, true) => Ok(format!("{}:{}", header_value(tag.name), header_value(tag.value))),
    }
}

/// The name of a header that begins like this, in lower case as all header names are.
fn prefixed(prefix: &str, rest: &str) -> Option<HeaderName> {
    if rest.is_empty() { None } else { HeaderName::from_bytes(format!("{prefix}{rest}").as_bytes()).ok() }
}

fn majordomo_header(name: &str) -> Option<HeaderName> {
    prefixed(MAJORDOMO_PREFIX, name).filter(|_| !is_reserved(&name.to_ascii_lowercase()))
}

fn helicone_header(name: &str) -> Option<HeaderName> {
    match name {
        "_user" => Some(HELICONE_USER_ID),
        "session_id" => Some(HELICONE_SESSION_ID),
        "session_name" => Some(HELICONE_SESSION_NAME),
        _ => prefixed(HELICONE_PREFIX, name),
    }
}
