use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// What is to become of the `tracestate` of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tracestate {
    /// It goes on as it came.
    Unchanged,
    /// It came in several headers, or with a key twice: this goes on.
    Joined(HeaderValue),
    /// It is empty, or not valid for this reason: it goes no further.
    Dropped(Option<&'static str>),
}

/// Most members of a list.
const MAX_MEMBERS: usize = 32;

/// Longest list that is kept, in bytes: all members at their longest, with their commas. Only white space makes one longer.
const MAX_BYTES: usize = MAX_MEMBERS * (256 + 1 + 256 + 1);

impl Tracestate {
    /// The list that goes on, for calls made on behalf of the request; `header` is what came.
    pub(super) fn kept(&self, header: Option<&HeaderValue>) -> Option<Arc<str>> {
        let list = match self {
            Self::Unchanged => header?,
            Self::Joined(list) => list,
            Self::Dropped(_) => return None,
        };
        list.to_str().ok().map(str::trim).filter(|list| list.len() <= MAX_BYTES).map(Arc::from)
    }
}

/// Reads the `tracestate` headers as one list, by W3C Trace Context (section 3.3): at most 32 members with valid keys and
/// values, empty ones not counted. Of a key that stands there twice the first is the newest. One member that is not valid
/// makes the whole list invalid.
pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Tracestate {
    let mut values = headers.get_all(name).iter();
    let mut members: Vec<&[u8]> = Vec::new();
    let mut has_duplicates = false;
    for value in headers.get_all(name) {
        for member in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if member.is_empty() {
                continue;
            }
            let Some(at) = member.iter().position(|byte| *byte == b'=') else {
                return Tracestate::Dropped(Some("a member without `=`"));
            };
            let (key, rest) = member.split_at(at);
            let value = rest.get(1..).unwrap_or_default();
            if !is_key(key) {
                return Tracestate::Dropped(Some("a key that is not allowed"));
            }
            if !is_value(value) {
                return Tracestate::Dropped(Some("a value that is not allowed"));
            }
            let with_equals = member.get(..=at).unwrap_or_default();
            if members.iter().any(|other| other.starts_with(with_equals)) {
                has_duplicates = true;
                continue;
            }
            members.push(member);
            if members.len() > MAX_MEMBERS {
                return Tracestate::Dropped(Some("more than 32 members"));
            }
        }
    }
    if members.is_empty() {
        return Tracestate::Dropped(None);
    }
    if !has_duplicates && values.next().is_some() && values.next().is_none() {
        return Tracestate::Unchanged;
    }
    match HeaderValue::from_bytes(&members.join(&b',')) {
        Ok(joined) => Tracestate::Joined(joined),
        Err(_) => Tracestate::Dropped(Some("no header value")),
    }
}

/// Whether the key is a name of up to 256 characters, or a tenant of up to 241 and a system of up to 14 with an `@` between.
fn is_key(key: &[u8]) -> bool {
    let is_name = |name: &[u8], max: usize, may_begin_with_digit: bool| {
        let begins_well = match name.first() {
            Some(b'a'..=b'z') => true,
            Some(b'0'..=b'9') => may_begin_with_digit,
            _ => false,
        };
        let is_allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
        begins_well && name.len() <= max && name.iter().all(is_allowed)
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => is_name(key, 256, true),
        Some(at) => {
            let (tenant, system) = key.split_at(at);
            is_name(tenant, 241, true) && is_name(system.get(1..).unwrap_or_default(), 14, false)
        }
    }
}

/// Whether the value is 1 to 256 printable characters without `,` and `=`.
fn is_value(value: &[u8]) -> bool {
    let is_allowed = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'=' && *byte != b',';
    (1..=256).contains(&value.len()) && value.iter().all(is_allowed)
}
