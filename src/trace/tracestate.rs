use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The treatment of the `tracestate` of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tracestate {
    /// The header is valid and stays as it is.
    Unchanged,
    /// Several headers, or a list with repeated keys, are replaced by this list.
    Joined(HeaderValue),
    /// The headers are removed: they are empty, or not valid for this reason.
    Dropped(Option<&'static str>),
}

/// Maximum number of members in a list.
const MAX_MEMBERS: usize = 32;

/// Maximum length of a key and of a value, in characters.
const MAX_CHARS: usize = 256;

/// Maximum length of a list that is kept, in bytes: all members of maximum length. Only white space makes a list longer.
const MAX_BYTES: usize = MAX_MEMBERS * (MAX_CHARS + 1 + MAX_CHARS + 1);

impl Tracestate {
    /// Reads the `tracestate` headers as one list, according to
    /// [W3C Trace Context, level 2](https://www.w3.org/TR/trace-context-2/#tracestate-header).
    ///
    /// A list has at most 32 members, not counting empty ones. Of a repeated key, the first member is the newest and is
    /// kept. A single invalid member makes the whole list invalid.
    pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Self {
        let (members, has_duplicates) = match members(headers.get_all(name).iter().map(HeaderValue::as_bytes)) {
            Ok(list) => list,
            Err(reason) => return Self::Dropped(Some(reason)),
        };
        if members.is_empty() {
            return Self::Dropped(None);
        }
        let is_repeated = headers.get_all(name).iter().nth(1).is_some();
        if !has_duplicates && !is_repeated {
            return Self::Unchanged;
        }
        match HeaderValue::from_bytes(&members.join(&b',')) {
            Ok(list) => Self::Joined(list),
            Err(_) => Self::Dropped(Some("not a valid header value")),
        }
    }

    /// Returns the list to send on calls that the service makes. `header` is the first header of the request.
    pub(super) fn kept(&self, header: Option<&HeaderValue>) -> Option<Arc<str>> {
        let list = match self {
            Self::Unchanged => header?,
            Self::Joined(list) => list,
            Self::Dropped(_) => return None,
        };
        list.to_str().ok().map(str::trim).filter(|list| list.len() <= MAX_BYTES).map(Arc::from)
    }
}

/// Returns the list without white space, empty members, and repeated keys, or `None` if it is not valid or empty.
pub(super) fn normalized(list: &str) -> Option<String> {
    let (members, _) = members(std::iter::once(list.as_bytes())).ok()?;
    String::from_utf8(members.join(&b',')).ok().filter(|list| !list.is_empty())
}

/// Returns the members of a list without repeated keys, and whether there were any. The error is the reason why the list
/// is not valid.
fn members<'h>(values: impl Iterator<Item = &'h [u8]>) -> Result<(Vec<&'h [u8]>, bool), &'static str> {
    let mut members: Vec<&[u8]> = Vec::new();
    let mut has_duplicates = false;
    let separated = values.flat_map(|value| value.split(|byte| *byte == b','));
    for member in separated.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
        let key = valid_key(member)?;
        let has_key = |other: &&[u8]| other.strip_prefix(key).is_some_and(|rest| rest.first() == Some(&b'='));
        if members.iter().any(has_key) {
            has_duplicates = true;
            continue;
        }
        members.push(member);
        if members.len() > MAX_MEMBERS {
            return Err("more than 32 members");
        }
    }
    Ok((members, has_duplicates))
}

/// Returns the key of a member if both key and value are valid.
fn valid_key(member: &[u8]) -> Result<&[u8], &'static str> {
    let mut parts = member.splitn(2, |byte| *byte == b'=');
    let (Some(key), Some(value)) = (parts.next(), parts.next()) else { return Err("a member without `=`") };
    if !is_key(key) {
        return Err("an invalid key");
    }
    if !is_value(value) {
        return Err("an invalid value");
    }
    Ok(key)
}

/// Returns `true` for a lowercase letter or digit, followed by up to 255 characters that include `_-*/@`.
fn is_key(key: &[u8]) -> bool {
    let is_allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    matches!(key.first(), Some(b'a'..=b'z' | b'0'..=b'9')) && key.len() <= MAX_CHARS && key.iter().all(is_allowed)
}

/// Returns `true` for 1 to 256 printable ASCII characters other than `,` and `=`.
fn is_value(value: &[u8]) -> bool {
    let is_allowed = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'=' && *byte != b',';
    (1..=MAX_CHARS).contains(&value.len()) && value.iter().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::{is_key, is_value, normalized};

    #[test]
    fn keys_follow_level_2() {
        let long = "k".repeat(256);
        for key in ["a", "0", "0tenant@0system", "a@b@c", "a@", "a_-*/", long.as_str()] {
            assert!(is_key(key.as_bytes()), "{key}");
        }
        let too_long = "k".repeat(257);
        for key in ["", "@a", "_a", "A", "aB", "a b", "a.b", "ä", too_long.as_str()] {
            assert!(!is_key(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn values_are_printable() {
        assert!(is_value(b"a b;c") && is_value("v".repeat(256).as_bytes()));
        assert!(
            !is_value(b"") && !is_value(b"a=b") && !is_value("ä".as_bytes()) && !is_value("v".repeat(257).as_bytes())
        );
    }

    #[test]
    fn normalizes_a_list() {
        assert_eq!(normalized(" a=1 ,, b=2,a=3,ab=4 ").as_deref(), Some("a=1,b=2,ab=4"));
        assert_eq!(normalized("a=1,b"), None);
        assert_eq!(normalized(" , "), None);
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        assert_eq!(normalized(&many[..32].join(",")), Some(many[..32].join(",")));
        assert_eq!(normalized(&many.join(",")), None);
    }
}
