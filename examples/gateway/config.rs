//! The environment of the gateway.
//!
//! | variable | meaning | when it is not set |
//! |---|---|---|
//! | `LISTEN` | address to listen on | `127.0.0.1:8787` |
//! | `UPSTREAM` | base URL to forward to, `http` or `https` | the built-in demo provider answers |
//! | `EVENTS` | path of a JSON Lines file to append events to; `-` is standard output | `-` |
//! | `STORE` | where events are stored: `sqlite:<path>`, a `postgres://` URL, or `none` | `sqlite:events.db` |
//! | `SPOOL` | folder in which events are kept until they are stored, so that not even `kill -9` loses one | none |
//! | `METADATA_KEY_CASE` | `lower` or `title`: what prefixed headers are called as tags, `user-id` or `User-Id` | `lower` |
//! | `SCOPES` | path of a JSON file with trusted tags, see [`Keys`] | no trusted tags |
//! | `HEADERS_TO_METADATA` | headers that become tags | none |
//! | `METADATA_PREFIXES` | prefixes of headers that become tags | `x-majordomo-` |
//! | `METADATA_PRECEDENCE` | `strict` or `legacy` | `strict` |
//! | `INCLUDE_USAGE` | `on` asks OpenAI-shaped streams for their usage where the client did not, and hides it from the client | `off` |
//! | `TAGGING` | `off` leaves the bare proxy, for comparison | `on` |

use std::{
    collections::{HashMap, HashSet},
    env, fmt, fs,
    net::SocketAddr,
};

use http::{Uri, request::Parts};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use tower_tagging::{
    EventLayer, Metadata, MetadataLayer, TaggingLayer,
    metadata::{Limits, Scope, Scopes},
    sink::{BatchWriter, Fanout, JsonLinesSink, Queued, Spool, SpoolMode},
    sources::StripHeaders,
    store::{PostgresStore, SqliteStore},
    usage::UsageTap,
};

pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: Option<Uri>,
    pub(crate) tagging: Option<TaggingLayer>,
    pub(crate) includes_usage: bool,
}

impl Config {
    /// Reads the environment; an error is one line that names the variable.
    pub(crate) fn from_env() -> Result<Self, String> {
        let listen = variable("LISTEN")?.unwrap_or_else(|| "127.0.0.1:8787".to_owned());
        let listen = listen.parse().map_err(|_| format!("LISTEN: {listen:?} is no address such as 127.0.0.1:8787"))?;
        let upstream = variable("UPSTREAM")?.map(|url| parse_upstream(&url)).transpose()?;
        let tagging = match variable("TAGGING")?.as_deref() {
            None | Some("on") => Some(tagging(upstream.as_ref())?),
            Some("off") => None,
            Some(word) => return Err(format!("TAGGING: {word:?} is neither \"on\" nor \"off\"")),
        };
        let includes_usage = match variable("INCLUDE_USAGE")?.as_deref() {
            None | Some("off") => false,
            Some("on") => true,
            Some(word) => return Err(format!("INCLUDE_USAGE: {word:?} is neither \"on\" nor \"off\"")),
        };
        Ok(Self { listen, upstream, tagging, includes_usage })
    }
}

/// The value of a variable; an empty one is as good as none.
fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name}: the value is no UTF-8")),
    }
}

fn parse_upstream(url: &str) -> Result<Uri, String> {
    let invalid = || format!("UPSTREAM: {url:?} is no base URL such as https://api.openai.com");
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    // It would be printed, and sent to nobody.
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("UPSTREAM: a base URL holds no credentials".to_owned());
    }
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().unwrap_or_default();
    let has_host = !host.is_empty();
    // A port that is no number up to 65535 would count as none.
    let is_portless = uri.authority().is_some_and(|authority| authority.as_str() == host);
    let has_sound_port = is_portless || uri.port_u16().is_some_and(|port| port > 0);
    let is_whole = uri.query().is_none() && !url.contains('#');
    if is_http && has_host && has_sound_port && is_whole { Ok(uri) } else { Err(invalid()) }
}

fn tagging(upstream: Option<&Uri>) -> Result<TaggingLayer, String> {
    let sink = match variable("EVENTS")?.as_deref() {
        None | Some("-") => JsonLinesSink::stdout(),
        Some(path) => JsonLinesSink::file(path).map_err(|problem| format!("EVENTS: {problem}"))?,
    };
    let mut metadata = MetadataLayer::builder().with_env().strip_headers(StripHeaders::Dialects);
    if let Some(path) = variable("SCOPES")? {
        let keys = Keys::read(&path).map_err(|problem| format!("SCOPES: {path}: {problem}"))?;
        metadata = metadata.resolver(move |head| keys.scopes_of(head));
    }
    let mut sinks = Fanout::new().with(sink);
    if let Some(store) = store()? {
        sinks = sinks.with(store);
    }
    check_files()?;
    let mut usage = UsageTap::new();
    if let Some(upstream) = upstream {
        usage = usage.upstream(upstream.clone());
    }
    let layer = TaggingLayer::builder().metadata(metadata).usage(usage).events(EventLayer::new(sinks)).build();
    layer.map_err(|problem| problem.to_string())
}

/// Where events are stored, if they are: the tables are made when they are not there.
fn store() -> Result<Option<Queued>, String> {
    let url = variable("STORE")?.unwrap_or_else(|| "sqlite:events.db".to_owned());
    if url == "none" {
        return match variable("SPOOL")? {
            None => Ok(None),
            Some(_) => Err("SPOOL: there is no STORE that events would wait for".to_owned()),
        };
    }
    let problem = |problem: &dyn fmt::Display| format!("STORE: {problem}");
    if let Some(path) = url.strip_prefix("sqlite:") {
        let store = SqliteStore::open(path).map_err(|error| problem(&error))?;
        store.migrate().map_err(|error| problem(&error))?;
        return spooled("sqlite", store.writer()).map(Some);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let store = PostgresStore::from_url(&url).map_err(|error| problem(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let migrated = runtime.map_err(|error| problem(&error))?.block_on(store.migrate());
        if let Err(error) = migrated {
            // It may be away for now: events wait, and rows need the tables that are mostly there.
            eprintln!("gateway: STORE: {error}");
        }
        return spooled("postgres", store.writer()).map(Some);
    }
    // It may hold a password: it is not quoted.
    Err("STORE: neither \"sqlite:<path>\", nor a postgres:// URL, nor \"none\"".to_owned())
}

/// Events as lines would break the database that they are stored in.
fn check_files() -> Result<(), String> {
    let file = |path: &str| fs::canonicalize(path).ok();
    let events = variable("EVENTS")?.and_then(|path| file(&path));
    let store = variable("STORE")?.and_then(|url| file(url.strip_prefix("sqlite:")?));
    if events.is_some() && events == store { Err("EVENTS: it is the file of STORE".to_owned()) } else { Ok(()) }
}

/// The sink of a store, with a spool where there is a folder for it.
fn spooled(name: &str, writer: impl BatchWriter) -> Result<Queued, String> {
    let builder = Queued::builder(name, writer).max_batch(2_048);
    let Some(folder) = variable("SPOOL")? else { return Ok(builder.build()) };
    let spool = Spool::builder(&folder).mode(SpoolMode::Always).open();
    Ok(builder.spool(spool.map_err(|problem| format!("SPOOL: {problem}"))?).build())
}

/// The trusted tags of API keys, from a file such as
///
/// ```json
/// {
///   "workspaces": {"acme": {"metadata": {"tenant": "acme"}}},
///   "api_keys": {"sk-gateway-1": {"workspace": "acme", "metadata": {"team": "growth"}}}
/// }
/// ```
///
/// The key of a request is the first known one of `x-portkey-api-key`, `x-majordomo-key` and `authorization: Bearer`. The
/// last is forwarded to the upstream as it came; the others are not.
struct Keys {
    scopes: HashMap<String, Scopes>,
}

impl Keys {
    fn read(path: &str) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|problem| problem.to_string())?;
        // Messages never quote the file: an API key is a secret, wherever in it one stands by mistake.
        let at = |problem: &serde_json::Error| format!("line {} column {}", problem.line(), problem.column());
        let file: Value = serde_json::from_str(&text).map_err(|problem| format!("no JSON at {}", at(&problem)))?;
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
            let mut of_key = Scopes::new().with(Scope::ApiKey, metadata(&place, entry)?);
            if let Some(name) = entry.get("workspace") {
                let workspace = name.as_str().and_then(|name| workspaces.get(name));
                let workspace = workspace.ok_or_else(|| format!("{place}: no such workspace"))?;
                of_key.add(Scope::Workspace, workspace.clone());
            }
            scopes.insert(key.clone(), of_key);
        }
        // A parser takes the last of two, and the tags of the first would not be trusted. All else there is are texts by now.
        serde_json::from_str::<Unique>(&text)
            .map_err(|problem| format!("a name stands twice before {}", at(&problem)))?;
        Ok(Self { scopes })
    }

    fn scopes_of(&self, head: &Parts) -> Scopes {
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let keys = [header("x-portkey-api-key"), header("x-majordomo-key"), bearer];
        keys.into_iter().flatten().find_map(|key| self.scopes.get(key)).cloned().unwrap_or_default()
    }
}

/// JSON whose objects have no name twice.
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
        formatter.write_str("objects, lists and texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Unique)) = map.next_entry::<String, Unique>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name stands twice"));
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

/// The object at a place of the file, with no members but these.
fn object<'a>(place: &str, value: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let object = value.as_object().ok_or_else(|| format!("{place} is no object"))?;
    if object.keys().all(|member| known.contains(&member.as_str())) {
        Ok(object)
    } else {
        Err(format!("{place} has members other than {}", known.join(" and ")))
    }
}

/// The members of an object that may be missing.
fn members<'a>(place: &str, value: Option<&'a Value>) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, String> {
    let object = value.map(|value| value.as_object().ok_or_else(|| format!("{place} is no object"))).transpose()?;
    Ok(object.into_iter().flatten())
}

/// The tags of a workspace or key, within the limits.
fn metadata(place: &str, entry: &Map<String, Value>) -> Result<Metadata, String> {
    let mut metadata = Metadata::new();
    for (key, value) in members("metadata", entry.get("metadata"))? {
        metadata.insert(key, value.as_str().ok_or_else(|| format!("{place}: tag {key:?} is no string"))?);
    }
    Limits::default().check(&metadata).map_err(|problem| format!("{place}: {problem}"))?;
    Ok(metadata)
}
