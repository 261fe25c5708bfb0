//! A reverse proxy for LLM APIs that tags every request and emits one event per request.
//!
//! ```text
//! cargo run --example gateway --features full
//! ```
//!
//! Without `UPSTREAM`, a built-in demo provider responds, so no server, key, or network is needed. Without `STORE` as well,
//! this is a demo: it adds 30 days of synthetic requests to a temporary store, and prints a key for its admin API. Events are
//! written to standard output, and messages for humans to standard error. `config.rs` lists the environment variables, and
//! `gateway.toml` shows a configuration file with API keys, contracts, and provider credentials.

mod admin;
mod config;
mod demo;
mod demo_history;
mod demo_keys;
mod demo_request;
mod demo_store;
mod limits;
mod proxy;
mod random;
mod upkeep;

use std::{
    future::IntoFuture,
    io,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use admin::AdminKey;
use axum::{Router, serve::ListenerExt};
use config::{Config, Tagging};
use limits::Surroundings;
use tokio::{net::TcpListener, runtime::Runtime, sync::Notify};
use tower_tagging::{
    limit::LimitLayer,
    registry::{Registry, RegistryLayer},
    sink::{Delivery, JsonLinesSink, SinkReport},
    usage::include_usage::InjectIncludeUsageLayer,
};

/// The time that open requests have to end after a stop signal.
const DRAIN: Duration = Duration::from_secs(10);
/// The time for the delivery of events after that.
const DELIVER: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    // Reports delivery problems, such as write errors of the store, and changes of the configuration.
    let filter = tracing_subscriber::EnvFilter::new("warn,tower_tagging::registry=info");
    tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter).init();
    match config::checked() {
        None => {}
        Some(Ok(message)) => {
            println!("{message}");
            return ExitCode::SUCCESS;
        }
        Some(Err(problems)) => return refuse(&problems),
    }
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the problems of the configuration, one per line.
fn refuse(problems: &str) -> ExitCode {
    for problem in problems.lines() {
        eprintln!("gateway: {problem}");
    }
    ExitCode::from(2)
}

fn run(config: Config) -> io::Result<()> {
    let (layer, events, registry, demo_callers, admin, demo, upkeep, workspace_keys, limits) = match config.tagging {
        Some(Tagging { layer, events, registry, demo_callers, admin, demo, upkeep, workspace_keys, limits }) => {
            let layer = match registry.as_ref().or(demo_callers.as_ref()) {
                Some(callers) => LimitLayer::new(limits.limiter.clone(), RegistryLayer::new(callers.clone(), layer)),
                None => LimitLayer::new(limits.limiter.clone(), layer),
            };
            (Some(layer), events, registry, demo_callers, admin, demo, upkeep, workspace_keys, Some(limits))
        }
        None => (None, None, None, None, None, None, None, Vec::new(), None),
    };
    // Keeps the sinks until their events are delivered.
    let sinks = layer.clone();
    let delivery = layer.as_ref().map_or_else(Delivery::none, LimitLayer::delivery);
    let key = admin.as_ref().map(|admin| admin.key.clone());
    let credentials = proxy::Credentials { registry: registry.clone(), admin_key: key.clone() };
    let app = proxy::router(config.upstream.clone(), credentials, demo::router()).map_err(io::Error::other)?;
    let has_tagging = layer.is_some();
    let app = match layer {
        Some(layer) => app.layer(layer),
        None => app,
    };
    // Wraps the tagging layer, which must see the usage that is hidden from the client.
    let app = if has_tagging && config.includes_usage { app.layer(InjectIncludeUsageLayer::new()) } else { app };
    // Outside of all layers: these requests are not tagged and not counted.
    let (app, sign_in) = match admin {
        Some(admin) => {
            admin::mount(admin, delivery.clone(), app).map_err(|error| io::Error::other(error.to_string()))?
        }
        None => (app, None),
    };
    let runtime = Runtime::new()?;
    let limits_hangup = limits.as_ref().map(|limits| limits.hangup.clone());
    let limiter = limits.as_ref().map(|limits| limits.limiter.clone());
    if let Some(limits) = limits {
        let registry = registry.clone().or(demo_callers);
        let around = Surroundings { store: upkeep.clone(), registry, delivery: delivery.clone() };
        let task = runtime.block_on(limits.start(around)).map_err(io::Error::other)?;
        runtime.spawn(task);
    }
    if let Some((analytics, settings)) = upkeep {
        runtime.spawn(upkeep::run(analytics, settings));
    }
    let hangup = Hangup { events, registry: registry.clone(), limits: limits_hangup };
    let has_history = demo.as_ref().is_some_and(|demo| demo.has_history);
    let start =
        Start { upstream: config.upstream, key, workspace_keys, sign_in, public_url: config.public_url, has_history };
    let filling = demo.as_ref().and_then(|demo| demo.fill(limiter));
    let served = runtime.block_on(serve(app, config.listen, &start, hangup));
    drop(filling);
    served?;
    // Drops requests that did not end in time. Their events have the outcome `cancelled`.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let report = delivery.shutdown_blocking(DELIVER);
    drop(sinks);
    drop(demo);
    eprintln!("{report}");
    for tag in registry.iter().flat_map(Registry::coverage) {
        eprintln!("gateway: {tag}");
    }
    // The next process delivers the events in the spool.
    let lost = |sink: &SinkReport| sink.dropped() + sink.in_flight().saturating_sub(sink.spool.waiting);
    match report.sinks.iter().map(lost).sum() {
        0 => Ok(()),
        lost => Err(io::Error::other(format!("{lost} events were lost"))),
    }
}

/// What the gateway prints when it starts.
struct Start {
    upstream: Option<http::Uri>,
    key: Option<AdminKey>,
    /// The workspaces of a demo with their keys.
    workspace_keys: Vec<(&'static str, String)>,
    /// The path that signs in to the dashboard once.
    sign_in: Option<String>,
    public_url: Option<http::Uri>,
    has_history: bool,
}

impl Start {
    fn print(&self, address: SocketAddr) {
        match &self.upstream {
            Some(upstream) => eprintln!("gateway: http://{address} forwards to {upstream}"),
            None => eprintln!("gateway: http://{address} answers from the demo provider (set UPSTREAM to forward)"),
        }
        eprintln!(
            "try: curl http://{address}/v1/chat/completions -H 'content-type: application/json' \
             -H 'x-portkey-metadata: {{\"_user\":\"ada\",\"team\":\"growth\"}}' \
             -d '{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":\"Say hello\"}}]}}'"
        );
        let Some(key) = &self.key else { return };
        let base = self.public_url.as_ref().map_or_else(|| format!("http://{address}"), ToString::to_string);
        let base = base.trim_end_matches('/');
        let Some(key) = key.generated() else {
            eprintln!("gateway: {base}/tagging/ is the dashboard; sign in with the key in ADMIN_KEY");
            return eprintln!("gateway: {base}/tagging/mcp has tools for agents (MCP), with the same keys");
        };
        let history =
            if self.has_history { ", with 30 days of synthetic requests (DEMO_HISTORY=off for none)" } else { "" };
        if let Some(path) = &self.sign_in {
            eprintln!("gateway: dashboard{history}: {base}{path} (once, within ten minutes)");
        }
        eprintln!("gateway: {base}/tagging/ answers requests with the key {key}");
        let workspaces: Vec<_> = self.workspace_keys.iter().map(|(slug, key)| format!("{slug}: {key}")).collect();
        if !workspaces.is_empty() {
            eprintln!("gateway: keys that see one workspace: {}", workspaces.join(", "));
            eprintln!(
                "gateway: requests to http://{address} with one of these in x-portkey-api-key belong to its workspace"
            );
        }
        eprintln!(
            "try: claude mcp add --transport http llm-cost {base}/tagging/mcp --header 'x-portkey-api-key: {key}' (tools for \
             agents, by MCP)"
        );
        let from = SystemTime::now() - Duration::from_secs(30 * 86_400);
        let to = SystemTime::now() + Duration::from_secs(86_400);
        let [from, to] = [from, to].map(humantime::format_rfc3339_seconds);
        eprintln!(
            "try: curl -H 'x-portkey-api-key: {key}' '{base}/tagging/v1/analytics/groups/metadata/team\
             ?time_of_generation_min={from}&time_of_generation_max={to}'"
        );
    }
}

async fn serve(app: Router, listen: SocketAddr, start: &Start, hangup: Hangup) -> io::Result<()> {
    let mut signals = StopSignals::listen(hangup)?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("LISTEN: {listen}: {error}")))?;
    let address = listener.local_addr()?;
    // Sends small chunks of a stream immediately.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("gateway: TCP_NODELAY: {error}");
        }
    });
    start.print(address);
    // Counts the stop signals.
    let (signaled, mut stop) = tokio::sync::watch::channel(0_u32);
    tokio::spawn(async move {
        loop {
            signals.next().await;
            if *signaled.borrow() == 0 {
                eprintln!("gateway: stopping; open requests have {DRAIN:?} to end, or until the next signal");
            }
            signaled.send_modify(|times| *times += 1);
        }
    });
    let mut stopping = stop.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        // An error means that no signal can arrive anymore.
        let _ = stopping.wait_for(|times| *times > 0).await;
    });
    tokio::select! {
        result = server.into_future() => result,
        () = async {
            let _ = stop.wait_for(|times| *times > 0).await;
            let _ = tokio::time::timeout(DRAIN, stop.wait_for(|times| *times > 1)).await;
        } => {
            eprintln!("gateway: some requests did not end in time");
            Ok(())
        }
    }
}

/// The effects of SIGHUP.
#[derive(Clone)]
struct Hangup {
    /// The file that is opened again, after log rotation has renamed it.
    events: Option<JsonLinesSink>,
    /// The registry that is loaded again.
    registry: Option<Registry>,
    /// Notified to load the limits and alerts again.
    limits: Option<Arc<Notify>>,
}

impl Hangup {
    #[cfg(unix)]
    fn has_effect(&self) -> bool {
        self.events.is_some() || self.registry.is_some()
    }

    #[cfg(unix)]
    fn run(&self) {
        let report = |variable: &str, error: &dyn std::fmt::Display| eprintln!("gateway: {variable}: {error}");
        if let Some(Err(error)) = self.events.as_ref().map(JsonLinesSink::reopen) {
            report("EVENTS", &error);
        }
        if let Some(Err(error)) = self.registry.as_ref().map(Registry::reload) {
            report("CONFIG", &error);
        }
        if let Some(limits) = &self.limits {
            limits.notify_one();
        }
    }
}

/// A stream of stop signals: Ctrl-C and SIGTERM.
///
/// With a JSON Lines file, SIGHUP reopens the file, and with a configuration file, it loads that again. Without both, SIGHUP
/// keeps the effect with which the process was started: `nohup` ignores it.
struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: Option<(tokio::signal::unix::Signal, Hangup)>,
}

impl StopSignals {
    #[cfg(unix)]
    fn listen(hangup: Hangup) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if hangup.has_effect() { Some((signal(SignalKind::hangup())?, hangup)) } else { None },
        })
    }

    #[cfg(not(unix))]
    fn listen(_: Hangup) -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                hangup = hung_up(&mut self.hangup) => {
                    // Opening a file may block.
                    if let Err(error) = tokio::task::spawn_blocking(move || hangup.run()).await {
                        eprintln!("gateway: SIGHUP: {error}");
                    }
                }
            }
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // No signal can arrive.
            std::future::pending::<()>().await;
        }
    }
}

/// Waits for SIGHUP. If it has no effect, waits forever.
#[cfg(unix)]
async fn hung_up(hangup: &mut Option<(tokio::signal::unix::Signal, Hangup)>) -> Hangup {
    if let Some((signal, effects)) = hangup
        && signal.recv().await.is_some()
    {
        return effects.clone();
    }
    std::future::pending().await
}
