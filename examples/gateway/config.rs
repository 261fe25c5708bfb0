//! The environment of the gateway.
//!
//! | variable | meaning | when it is not set |
//! |---|---|---|
//! | `LISTEN` | address to listen on | `127.0.0.1:8787` |
//! | `UPSTREAM` | base URL to forward to, `http` or `https` | the built-in demo provider answers |
//! | `EVENTS` | path of a JSON Lines file to append events to; `-` is standard output | `-` |
//! | `SCOPES` | path of a JSON file with trusted tags, see [`Keys`] | no trusted tags |
//! | `HEADERS_TO_METADATA` | headers that become tags | none |
//! | `METADATA_PREFIXES` | prefixes of headers that become tags | `x-majordomo-` |
//! | `METADATA_PRECEDENCE` | `strict` or `legacy` | `strict` |
//! | `TAGGING` | `off` leaves the bare proxy, for comparison | `on` |

use std::{collections::HashMap, env, fs, net::SocketAddr};

use http::{Uri, request::Parts};
use serde::Deserialize;
use tower_tagging::{
    EventLayer, Metadata, MetadataLayer, TaggingLayer,
    metadata::{Limits, Scope, Scopes, StripHeaders},
    sink::JsonLinesSink,
};

pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: Option<Uri>,
    pub(crate) tagging: Option<TaggingLayer>,
}

impl Config {
    /// Reads the environment; an error is one line that names the variable.
    pub(crate) fn from_env() -> Result<Self, String> {
        let listen = variable("LISTEN")?.unwrap_or_else(|| "127.0.0.1:8787".to_owned());
        let listen = listen.parse().map_err(|_| format!("LISTEN: {listen:?} is no address such as 127.0.0.1:8787"))?;
        let upstream = variable("UPSTREAM")?.map(|url| parse_upstream(&url)).transpose()?;
        let tagging = match variable("TAGGING")?.as_deref() {
            None | Some("on") => Some(tagging()?),
            Some("off") => None,
            Some(word) => return Err(format!("TAGGING: {word:?} is neither \"on\" nor \"off\"")),
        };
        Ok(Self { listen, upstream, tagging })
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
    if is_http && uri.authority().is_some() && uri.query().is_none() { Ok(uri) } else { Err(invalid()) }
}

fn tagging() -> Result<TaggingLayer, String> {
    let sink = match variable("EVENTS")?.as_deref() {
        None | Some("-") => JsonLinesSink::stdout(),
        Some(path) => JsonLinesSink::file(path).map_err(|problem| format!("EVENTS: {path}: {problem}"))?,
    };
    let mut metadata = MetadataLayer::builder()
        .from_env()
        .map_err(|problem| problem.to_string())?
        .strip_headers(StripHeaders::Dialects);
    if let Some(path) = variable("SCOPES")? {
        let keys = Keys::read(&path).map_err(|problem| format!("SCOPES: {path}: {problem}"))?;
        metadata = metadata.resolver(move |head| keys.scopes_of(head));
    }
    let layer = TaggingLayer::builder().metadata(metadata).events(EventLayer::new(sink)).build();
    layer.map_err(|problem| problem.to_string())
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
/// The key of a request is the first known one of `x-portkey-api-key`, `x-majordomo-key` and `authorization: Bearer`.
struct Keys {
    scopes: HashMap<String, Scopes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopesFile {
    #[serde(default)]
    workspaces: HashMap<String, Workspace>,
    #[serde(default)]
    api_keys: HashMap<String, ApiKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Workspace {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKey {
    workspace: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

impl Keys {
    fn read(path: &str) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|problem| problem.to_string())?;
        let file: ScopesFile = serde_json::from_str(&text).map_err(|problem| problem.to_string())?;
        let limits = Limits::default();
        let mut scopes = HashMap::new();
        for (name, workspace) in &file.workspaces {
            limits.check(&workspace.metadata).map_err(|problem| format!("workspace {name:?}: {problem}"))?;
        }
        // An API key is a secret, so a message names it by what it is for.
        for (number, (key, entry)) in file.api_keys.into_iter().enumerate() {
            let owner = entry.workspace.as_deref().unwrap_or("no workspace").to_owned();
            let name = format!("API key {} (of {owner})", number + 1);
            limits.check(&entry.metadata).map_err(|problem| format!("{name}: {problem}"))?;
            let mut of_key = Scopes::new().with(Scope::ApiKey, entry.metadata);
            if let Some(workspace) = entry.workspace {
                let workspace = file.workspaces.get(&workspace).ok_or(format!("{name}: no such workspace"))?;
                of_key.add(Scope::Workspace, workspace.metadata.clone());
            }
            scopes.insert(key, of_key);
        }
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
