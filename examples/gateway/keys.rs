//! API keys and workspaces with their trusted tags.

use std::{
    collections::{HashMap, HashSet},
    fmt, fs,
};

use http::request::Parts;
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
/// The key of a request is the first known one in `x-portkey-api-key`, `x-majordomo-key`, and `authorization: Bearer`.
/// `authorization` is forwarded to the upstream unchanged. The other two headers are not forwarded.
pub(crate) struct Keys {
    scopes: HashMap<String, Scopes>,
}

impl Keys {
    /// Reads the file.
    ///
    /// Errors never quote the file, because an API key may be anywhere in it by mistake.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let at = |error: &serde_json::Error| format!("line {} column {}", error.line(), error.column());
        let file: Value = serde_json::from_str(&text).map_err(|error| format!("invalid JSON at {}", at(&error)))?;
        let file = object("the file", &file, &["workspaces", "api_keys"])?;
        let mut workspaces = HashMap::new();
        for (name, entry) in members("workspaces", file.get("workspaces"))? {
            let place = format!("workspace {name:?}");
            workspaces.insert(name.as_str(), metadata(&place, object(&place, entry, &["metadata"])?)?);
        }
        let mut scopes = HashMap::new();
        for (number, (key, entry)) in members("api_keys", file.get("api_keys"))?.enumerate() {
            let place = format!("API key {}", number + 1);
            if key.is_empty() {
                return Err(format!("{place} is empty"));
            }
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
        serde_json::from_str::<Unique>(&text).map_err(|error| format!("duplicate name before {}", at(&error)))?;
        Ok(Self { scopes })
    }

    /// Returns the trusted tags of the caller.
    pub(crate) fn scopes(&self, head: &Parts) -> Scopes {
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let keys = [header("x-portkey-api-key"), header("x-majordomo-key"), bearer];
        keys.into_iter().flatten().find_map(|key| self.scopes.get(key)).cloned().unwrap_or_default()
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
    for (key, value) in members("metadata", entry.get("metadata"))? {
        metadata.insert(key, value.as_str().ok_or_else(|| format!("{place}: tag {key:?} is not a string"))?);
    }
    Limits::default().check(&metadata).map_err(|error| format!("{place}: {error}"))?;
    Ok(metadata)
}
