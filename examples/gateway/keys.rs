//! API keys and workspaces with their trusted tags.

use std::{
    collections::{HashMap, HashSet},
    fmt, fs,
};

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use tower_tagging::{
    Metadata,
    metadata::{Limits, Scope, Scopes},
};

/// The trusted tags of API keys, read from a file such as this one:
///
/// ```json
/// {
///   "workspaces": {"acme": {"metadata": {"tenant": "acme"}}},
///   "api_keys": {"sk-gateway-1": {"workspace": "acme", "metadata": {"team": "growth"}}}
/// }
/// ```
///
/// A key is visible ASCII without spaces, because a request cannot send any other one.
///
/// The key of a request is the first known one in [`KEY_HEADERS`]. A value may have a scheme in any case, followed by spaces
/// or tabs, such as `Bearer`. All values of a header count, also those that a client joined by commas.
///
/// A header value with a known key is not forwarded to the upstream, in these headers or in others for credentials. Other
/// values of `authorization` and of the providers' key headers are credentials for the upstream, and are forwarded
/// unchanged. Headers of the gateway's own dialects are never forwarded.
pub(crate) struct Keys {
    scopes: HashMap<String, Scopes>,
}

/// The headers in which SDKs send keys: first those that are meant for gateways.
const KEY_HEADERS: [&str; 6] =
    ["x-portkey-api-key", "x-majordomo-key", "authorization", "x-api-key", "api-key", "x-goog-api-key"];

impl Keys {
    /// Reads the file.
    ///
    /// Errors never quote the file, because an API key may be anywhere in it by mistake. They quote the path only if it is
    /// the path of a file, because the variable may contain a key by mistake, too.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read the file: {error}"))?;
        Self::parse(&text).map_err(|error| format!("{path}: {error}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let at = |error: &serde_json::Error| format!("line {} column {}", error.line(), error.column());
        let file: Value = serde_json::from_str(text).map_err(|error| format!("invalid JSON at {}", at(&error)))?;
        let file = object("the file", &file, &["workspaces", "api_keys"])?;
        let mut workspaces = HashMap::new();
        for (number, (name, entry)) in members("workspaces", file.get("workspaces"))?.enumerate() {
            let place = format!("workspace {}", number + 1);
            workspaces.insert(name.as_str(), metadata(&place, object(&place, entry, &["metadata"])?)?);
        }
        let mut scopes = HashMap::new();
        for (number, (key, entry)) in members("api_keys", file.get("api_keys"))?.enumerate() {
            let place = format!("API key {}", number + 1);
            check_key(key).map_err(|problem| format!("{place} {problem}"))?;
            let entry = object(&place, entry, &["workspace", "metadata"])?;
            let mut key_scopes = Scopes::new().with(Scope::ApiKey, metadata(&place, entry)?);
            if let Some(name) = entry.get("workspace") {
                let workspace = name.as_str().and_then(|name| workspaces.get(name));
                let workspace = workspace.ok_or_else(|| format!("{place}: unknown workspace"))?;
                key_scopes.add(Scope::Workspace, workspace.clone());
            }
            scopes.insert(key.clone(), key_scopes);
        }
        // JSON parsers use the last of two equal names, which would silently ignore the tags of the first.
        serde_json::from_str::<Unique>(text).map_err(|error| format!("duplicate name before {}", at(&error)))?;
        Ok(Self { scopes })
    }

    /// Returns the trusted tags of the caller.
    pub(crate) fn scopes(&self, head: &Parts) -> Scopes {
        let values = KEY_HEADERS.iter().flat_map(|name| head.headers.get_all(*name));
        values.into_iter().find_map(|value| self.find(value)).cloned().unwrap_or_default()
    }

    /// Removes every value with a known key from headers for credentials.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        let has_key = |name: &HeaderName| headers.get_all(name).iter().any(|value| self.find(value).is_some());
        let names: Vec<HeaderName> =
            headers.keys().filter(|name| is_for_credentials(name.as_str()) && has_key(name)).cloned().collect();
        for name in names {
            let others: Vec<_> =
                headers.get_all(&name).iter().filter(|value| self.find(value).is_none()).cloned().collect();
            headers.remove(&name);
            for value in others {
                headers.append(&name, value);
            }
        }
    }

    /// Returns the trusted tags of the first known key in a header value.
    fn find(&self, value: &HeaderValue) -> Option<&Scopes> {
        let whole = value.as_bytes();
        std::iter::once(whole).chain(whole.split(|byte| *byte == b',')).find_map(|part| {
            let part = part.trim_ascii();
            let token = part.iter().position(|byte| matches!(byte, b' ' | b'\t')).map(|end| part[end..].trim_ascii());
            [Some(part), token].into_iter().flatten().find_map(|key| self.scopes.get(std::str::from_utf8(key).ok()?))
        })
    }
}

/// Returns `true` for the name of a header that may hold a key, also in the dialects of other gateways. The length of a body
/// is not a key, even if it looks like one.
fn is_for_credentials(name: &str) -> bool {
    ["auth", "key", "token", "secret", "credential", "password"].iter().any(|word| name.contains(word))
}

/// Rejects a key that no request can send, or that no lookup can find.
fn check_key(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        Err("is empty")
    } else if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("can never match: expected visible ASCII characters without spaces")
    }
}

/// JSON without duplicate names in any object. Its only other values are strings, as checked before.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("objects, arrays, and strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Unique)) = map.next_entry::<String, Unique>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("duplicate name"));
            }
        }
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Unique, A::Error> {
        while let Some(Unique) = list.next_element()? {}
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }
}

/// Returns the value as an object with no members but the known ones.
fn object<'a>(place: &str, value: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let object = value.as_object().ok_or_else(|| format!("{place} is not an object"))?;
    if object.keys().all(|member| known.contains(&member.as_str())) {
        Ok(object)
    } else {
        Err(format!("{place} has members other than {}", known.join(" and ")))
    }
}

/// Returns the members of an optional object.
fn members<'a>(place: &str, value: Option<&'a Value>) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, String> {
    let object = value.map(|value| value.as_object().ok_or_else(|| format!("{place} is not an object"))).transpose()?;
    Ok(object.into_iter().flatten())
}

/// Returns the tags of a workspace or key, which must be within the limits.
fn metadata(place: &str, entry: &Map<String, Value>) -> Result<Metadata, String> {
    let mut metadata = Metadata::new();
    for (number, (key, value)) in members("metadata", entry.get("metadata"))?.enumerate() {
        metadata.insert(key, value.as_str().ok_or_else(|| format!("{place}: tag {} is not a string", number + 1))?);
    }
    // The diagnostic's other parts quote the tag.
    Limits::default().check(&metadata).map_err(|error| format!("{place}: {} in a tag", error.code()))?;
    Ok(metadata)
}
