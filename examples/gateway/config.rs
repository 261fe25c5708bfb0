//! The configuration of the gateway, read from environment variables.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | address to listen on | `127.0.0.1:8787` |
//! | `UPSTREAM` | base URL to forward requests to, `http` or `https` | the built-in demo provider responds |
//! | `EVENTS` | path of a JSON Lines file to append events to, or `-` for standard output. SIGHUP reopens the file | `-` |
//! | `STORE` | store for events: `sqlite:<path>`, a `postgres://` URL, or `none` | `sqlite:events.db`; without `UPSTREAM`, the store of the demo |
//! | `ADMIN_KEY` | organization-wide key of the admin API below `/tagging/`, in `x-portkey-api-key` or as a bearer token | `/tagging` is forwarded like any path; the demo on a loopback address generates a key and prints it |
//! | `PUBLIC_URL` | external base URL of the gateway, for links, the origin of the dashboard's forms and cookie, and the only host that the tools for agents at `/tagging/mcp` accept | printed links have the address, those in answers of the API only a path, the header `host` decides about forms and cookies, so proxies must forward it, and the tools accept hosts of this machine |
//! | `DEMO_HISTORY` | `off` starts the demo without synthetic requests | `on` |
//! | `SPOOL` | folder that keeps events until they are stored, so that even `kill -9` loses none | no spool |
//! | `METADATA_KEY_CASE` | case of keys from prefixed headers: `lower` (`user-id`) or `title` (`User-Id`) | `lower` |
//! | `CONFIG` | path of a TOML or JSON file with API keys, workspaces, contracts, virtual keys, limits, alerts, and the settings of analytics, such as `gateway.toml` next to this file. All but the sections `[analytics]` and `[ledger]` is reloaded when it changes, and on SIGHUP, unless any section has a problem | callers are not identified |
//! | `CONFIG_CHECK` | `1` checks the file of `CONFIG`, prints every problem, and exits: with status 2 if there is one | – |
//! | `HEADERS_TO_METADATA` | comma-separated headers that become tags, such as `x-user-id, x-tenant=tenant` | none |
//! | `METADATA_PREFIXES` | comma-separated prefixes of headers that become tags | `x-majordomo-` |
//! | `METADATA_PRECEDENCE` | `strict` (keys and workspaces override the client) or `legacy` (the client overrides them) | `strict` |
//! | `INCLUDE_USAGE` | `on` requests usage for OpenAI streams if the client did not, and hides it from the client | `off` |
//! | `TAGGING` | `off` runs the bare proxy, for comparison | `on` |
//!
//! The gateway runs as a demo if neither `UPSTREAM` nor `STORE` is set. Its store is a temporary SQLite file, which is removed
//! at the end, and it gets 30 days of synthetic requests. No other store ever does. Without `CONFIG` and `ADMIN_KEY`, its admin
//! API has two workspaces, whose keys it prints as well. They are for requests to the proxy, too: these belong to the workspace.

use std::{env, fmt, fs, net::SocketAddr, path::Path, time::Duration};

use http::Uri;
use tower_tagging::{
    EventLayer, MetadataLayer, TaggingLayer,
    analytics::{Analytics, AnalyticsSettings},
    limit::LimitSettings,
    registry::Registry,
    sink::{BatchWriter, Fanout, JsonLinesSink, Queued, Spool, SpoolMode},
    sources::StripHeaders,
    store::{PostgresStore, SqliteStore},
    usage::UsageTap,
};

use crate::{
    admin::{Admin, AdminKey},
    demo_keys::DemoKeys,
    demo_store::DemoStore,
    limits::Limits,
};

/// The interval at which the file of `CONFIG` is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: Option<Uri>,
    pub(crate) tagging: Option<Tagging>,
    pub(crate) includes_usage: bool,
    /// The external URL of the gateway, if it is known.
    pub(crate) public_url: Option<Uri>,
}

/// The layer, and what the gateway shares with it.
pub(crate) struct Tagging {
    pub(crate) layer: TaggingLayer,
    /// The sink of the JSON Lines file, if there is one.
    pub(crate) events: Option<JsonLinesSink>,
    /// The callers, if there is a configuration file.
    pub(crate) registry: Option<Registry>,
    /// The callers of a demo without a configuration file.
    pub(crate) demo_callers: Option<Registry>,
    /// The admin API, if there is one.
    pub(crate) admin: Option<Admin>,
    /// The temporary store, if the gateway runs as a demo.
    pub(crate) demo: Option<DemoStore>,
    /// The workspaces of a demo with their keys.
    pub(crate) workspace_keys: Vec<(&'static str, String)>,
    /// The store and the settings of its upkeep, if there is a store.
    pub(crate) upkeep: Option<(Analytics, AnalyticsSettings)>,
    pub(crate) limits: Limits,
}

impl Config {
    /// Reads the environment. Errors are one line that starts with the name of the variable.
    pub(crate) fn from_env() -> Result<Self, String> {
        let listen = variable("LISTEN")?.unwrap_or_else(|| "127.0.0.1:8787".to_owned());
        let listen = listen
            .parse()
            .map_err(|_| format!("LISTEN: invalid address {listen:?}: expected one such as 127.0.0.1:8787"))?;
        let upstream = base_url("UPSTREAM", "https://api.openai.com")?;
        let public_url = base_url("PUBLIC_URL", "https://llm.example.com")?;
        let includes_usage = switch("INCLUDE_USAGE", false)?;
        let tagging = if switch("TAGGING", true)? {
            Some(tagging(listen, upstream.as_ref(), public_url.as_ref())?)
        } else if variable("CONFIG")?.is_some() {
            return Err("TAGGING: \"off\" would disable the registry of CONFIG".to_owned());
        } else if variable("ADMIN_KEY")?.is_some() {
            return Err("ADMIN_KEY: with TAGGING=off, there are no events to read".to_owned());
        } else {
            None
        };
        Ok(Self { listen, upstream, tagging, includes_usage, public_url })
    }
}

/// Returns whether a variable is `on` or `off`.
fn switch(name: &str, default: bool) -> Result<bool, String> {
    match variable(name)?.as_deref() {
        None => Ok(default),
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(word) => Err(format!("{name}: invalid value {word:?}: expected \"on\" or \"off\"")),
    }
}

/// Returns the value of a variable, or `None` if it is not set or empty.
fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name}: the value is not valid UTF-8")),
    }
}

/// Reads the URL of a server, or of a folder on it.
fn base_url(name: &str, example: &str) -> Result<Option<Uri>, String> {
    let Some(url) = variable(name)? else { return Ok(None) };
    let invalid = || format!("{name}: invalid base URL {url:?}: expected one such as {example}");
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    // The gateway prints the URL, and does not send credentials from it.
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(format!("{name}: credentials in the base URL are not supported"));
    }
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().unwrap_or_default();
    let has_host = !host.is_empty();
    // `Uri` treats an invalid port as a missing one.
    let has_no_port = uri.authority().is_some_and(|authority| authority.as_str() == host);
    let has_valid_port = has_no_port || uri.port_u16().is_some_and(|port| port > 0);
    let is_base = uri.query().is_none() && !url.contains('#');
    if is_http && has_host && has_valid_port && is_base { Ok(Some(uri)) } else { Err(invalid()) }
}

fn tagging(listen: SocketAddr, upstream: Option<&Uri>, public_url: Option<&Uri>) -> Result<Tagging, String> {
    let path = variable("EVENTS")?.filter(|path| path != "-");
    let events = path.map(JsonLinesSink::file).transpose().map_err(|error| format!("EVENTS: {error}"))?;
    let metadata = MetadataLayer::builder().with_env().strip_headers(StripHeaders::Dialects);
    let path = variable("CONFIG")?;
    let registry = path.as_deref().map(registry).transpose()?;
    let settings = path.as_deref().map(analytics_settings).transpose()?.unwrap_or_default();
    let mut sinks = Fanout::new().with(events.clone().unwrap_or_else(JsonLinesSink::stdout));
    let Stored { store, sink, demo } = stored(upstream.is_none())?;
    if let Some(sink) = sink {
        sinks = sinks.with(sink);
    }
    check_files()?;
    let key = admin_key(listen, demo.is_some(), store.is_some())?;
    let is_generated = key.as_ref().is_some_and(|key| key.generated().is_some());
    let (callers, demo_callers, workspace_keys) = match &registry {
        Some(registry) => (registry.clone(), None, Vec::new()),
        None if is_generated => DemoKeys::generate().map(|demo| (demo.admin, Some(demo.proxy), demo.keys))?,
        None => (Registry::from_toml("").map_err(|error| format!("CONFIG: {error}"))?, None, Vec::new()),
    };
    if key.as_ref().is_some_and(|key| key.is_in(&callers)) {
        return Err(
            "ADMIN_KEY: this is an API key of CONFIG, whose callers would see everything: use another".to_owned()
        );
    }
    let (zone, kept, public_url) = (settings.zone.clone(), settings.retention.rows, public_url.cloned());
    let upkeep = store.clone().map(|analytics| (analytics, settings));
    let limits = Limits::load(path.as_deref(), registry.as_ref(), demo.is_some())?;
    let limiter = limits.limiter.clone();
    let admin = key.zip(store).map(|(key, analytics)| Admin {
        key,
        analytics,
        registry: callers,
        limiter,
        public_url,
        zone,
        kept,
    });
    let mut usage = UsageTap::new();
    if let Some(upstream) = upstream {
        usage = usage.upstream(upstream.clone());
    }
    let layer = TaggingLayer::builder().metadata(metadata).usage(usage).events(EventLayer::new(sinks)).build();
    let layer = layer.map_err(|error| error.to_string())?;
    Ok(Tagging { layer, events, registry, demo_callers, admin, demo, workspace_keys, upkeep, limits })
}

/// Returns the key of the admin API, if there is one.
fn admin_key(listen: SocketAddr, is_demo: bool, has_store: bool) -> Result<Option<AdminKey>, String> {
    match variable("ADMIN_KEY")? {
        Some(_) if !has_store => Err("ADMIN_KEY: with STORE=none, there are no events to read".to_owned()),
        Some(key) => AdminKey::new(key).map(Some),
        None if is_demo && listen.ip().to_canonical().is_loopback() => AdminKey::generate().map(Some),
        None => Ok(None),
    }
}

/// Loads the configuration file. An error has one line per problem.
fn registry(path: &str) -> Result<Registry, String> {
    check_config(path)?;
    let invalid = |error: &dyn fmt::Display| format!("CONFIG: {error}");
    let registry = Registry::from_file(path).map_err(|error| invalid(&error))?;
    // A file with a problem in any section is not loaded.
    registry.also_check(|path| check_config(path));
    registry.watch(WATCH_INTERVAL).map_err(|error| invalid(&error))?;
    Ok(registry)
}

/// Reads the section `[analytics]` of the configuration file.
fn analytics_settings(path: &str) -> Result<AnalyticsSettings, String> {
    AnalyticsSettings::from_file(path).map_err(|error| format!("CONFIG: {error}"))
}

/// Checks the configuration file. The error has one line per problem, with line and column.
pub(crate) fn check_config(path: impl AsRef<Path>) -> Result<(), String> {
    let path = path.as_ref();
    // The error does not quote the path, because the variable may contain a key by mistake.
    fs::metadata(path).map_err(|error| format!("CONFIG: cannot read the file: {error}"))?;
    let invalid = |error: &dyn fmt::Display| format!("CONFIG: {error}");
    let mut problems = Registry::check_file(path).map_err(|error| invalid(&error))?;
    problems.extend(LimitSettings::check_file(path).map_err(|error| invalid(&error))?);
    problems.extend(AnalyticsSettings::check_file(path).map_err(|error| invalid(&error))?);
    // All of them report errors of the syntax.
    problems.sort();
    problems.dedup();
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// Checks the configuration file instead of starting, if `CONFIG_CHECK` is set. Returns `None` if it is not.
pub(crate) fn checked() -> Option<Result<String, String>> {
    let check = || match variable("CONFIG_CHECK")?.as_deref() {
        None | Some("0") => Ok(None),
        Some("1") => {
            let path = variable("CONFIG")?.ok_or("CONFIG_CHECK: CONFIG must name the file to check")?;
            check_config(&path)?;
            Ok(Some(format!("{path}: no problems")))
        }
        Some(word) => Err(format!("CONFIG_CHECK: invalid value {word:?}: expected \"1\" or \"0\"")),
    };
    check().transpose()
}

/// A store, and the sink that writes to it.
struct Stored {
    store: Option<Analytics>,
    sink: Option<Queued>,
    demo: Option<DemoStore>,
}

/// Opens the store, if there is one, and creates its tables if needed.
fn stored(has_no_upstream: bool) -> Result<Stored, String> {
    let has_history = switch("DEMO_HISTORY", true)?;
    let url = match variable("STORE")? {
        None if has_no_upstream => {
            let demo = DemoStore::create(has_history)?;
            let store = demo.store.clone();
            let sink = spooled("sqlite", store.writer())?;
            return Ok(Stored { store: Some(Analytics::new(store)), sink: Some(sink), demo: Some(demo) });
        }
        url => url.unwrap_or_else(|| "sqlite:events.db".to_owned()),
    };
    if url == "none" {
        return match variable("SPOOL")? {
            None => Ok(Stored { store: None, sink: None, demo: None }),
            Some(_) => Err("SPOOL: a spool needs a STORE".to_owned()),
        };
    }
    let invalid = |error: &dyn fmt::Display| format!("STORE: {error}");
    if let Some(path) = url.strip_prefix("sqlite:") {
        let store = SqliteStore::open(path).map_err(|error| invalid(&error))?;
        store.migrate().map_err(|error| invalid(&error))?;
        let sink = spooled("sqlite", store.writer())?;
        return Ok(Stored { store: Some(Analytics::new(store)), sink: Some(sink), demo: None });
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let store = PostgresStore::from_url(&url).map_err(|error| invalid(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let migrated = runtime.map_err(|error| invalid(&error))?.block_on(store.migrate());
        if let Err(error) = migrated {
            // The server may be down for now. Events wait in the queue, and the tables usually exist already.
            eprintln!("gateway: STORE: {error}");
        }
        let sink = spooled("postgres", store.writer())?;
        return Ok(Stored { store: Some(Analytics::new(store)), sink: Some(sink), demo: None });
    }
    // The value may contain a password, so the error does not quote it.
    Err("STORE: invalid value: expected \"sqlite:<path>\", a postgres:// URL, or \"none\"".to_owned())
}

/// Rejects a JSON Lines file that is also the database, which the lines would corrupt.
fn check_files() -> Result<(), String> {
    let file = |path: &str| fs::canonicalize(path).ok();
    let events = variable("EVENTS")?.and_then(|path| file(&path));
    let store = variable("STORE")?.and_then(|url| file(url.strip_prefix("sqlite:")?));
    if events.is_some() && events == store {
        Err("EVENTS: the file is also the database of STORE".to_owned())
    } else {
        Ok(())
    }
}

/// Creates the sink of a store, with a spool if one is configured.
fn spooled(name: &str, writer: impl BatchWriter) -> Result<Queued, String> {
    let builder = Queued::builder(name, writer).max_batch(2_048);
    let Some(folder) = variable("SPOOL")? else { return Ok(builder.build()) };
    let spool = Spool::builder(&folder).mode(SpoolMode::Always).open();
    Ok(builder.spool(spool.map_err(|error| format!("SPOOL: {error}"))?).build())
}
