//! A reverse proxy for LLM APIs that tags every request and emits one event per request.
//!
//! ```text
//! cargo run --example gateway --features full
//! ```
//!
//! Without `UPSTREAM`, a built-in demo provider responds, so no server, key, or network is needed. Events are written
//! to standard output, and messages for humans to standard error. `config.rs` lists the environment variables.

mod config;
mod demo;
mod keys;
mod proxy;

use std::{future::IntoFuture, process::ExitCode, time::Duration};

use axum::{Router, serve::ListenerExt};
use config::{Config, Tagging};
use tokio::{net::TcpListener, runtime::Runtime};
use tower_tagging::{
    TaggingLayer,
    sink::{Delivery, JsonLinesSink, SinkReport},
    usage::include_usage::InjectIncludeUsageLayer,
};

/// The time that open requests have to end after a stop signal.
const DRAIN: Duration = Duration::from_secs(10);
/// The time for the delivery of events after that.
const DELIVER: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    // Reports delivery problems, such as write errors of the store.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("gateway: {error}");
            return ExitCode::from(2);
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> std::io::Result<()> {
    let (layer, events, keys) = match config.tagging {
        Some(Tagging { layer, events, keys }) => (Some(layer), events, keys),
        None => (None, None, None),
    };
    let delivery = layer.as_ref().map_or_else(Delivery::none, TaggingLayer::delivery);
    let app = match &config.upstream {
        Some(upstream) => proxy::router(upstream.clone(), keys),
        None => demo::router(),
    };
    let app = match layer {
        // Wraps the tagging layer, which must see the usage that is hidden from the client.
        Some(tagging) if config.includes_usage => app.layer(tagging).layer(InjectIncludeUsageLayer::new()),
        Some(tagging) => app.layer(tagging),
        None => app,
    };
    let runtime = Runtime::new()?;
    runtime.block_on(serve(app, config.listen, config.upstream.as_ref(), events))?;
    // Drops requests that did not end in time. Their events have the outcome `cancelled`.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let report = delivery.shutdown_blocking(DELIVER);
    eprintln!("{report}");
    // The next process delivers the events in the spool.
    let lost = |sink: &SinkReport| sink.dropped() + sink.in_flight().saturating_sub(sink.spool.waiting);
    match report.sinks.iter().map(lost).sum() {
        0 => Ok(()),
        lost => Err(std::io::Error::other(format!("{lost} events were lost"))),
    }
}

async fn serve(
    app: Router,
    listen: std::net::SocketAddr,
    upstream: Option<&http::Uri>,
    events: Option<JsonLinesSink>,
) -> std::io::Result<()> {
    let mut signals = StopSignals::listen(events)?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| std::io::Error::new(error.kind(), format!("LISTEN: {listen}: {error}")))?;
    let address = listener.local_addr()?;
    // Sends small chunks of a stream immediately.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("gateway: TCP_NODELAY: {error}");
        }
    });
    match upstream {
        Some(upstream) => eprintln!("gateway: http://{address} forwards to {upstream}"),
        None => eprintln!("gateway: http://{address} answers from the demo provider (set UPSTREAM to forward)"),
    }
    eprintln!(
        "try: curl http://{address}/v1/chat/completions -H 'content-type: application/json' \
         -H 'x-portkey-metadata: {{\"_user\":\"ada\",\"team\":\"growth\"}}' \
         -d '{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":\"Say hello\"}}]}}'"
    );
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

/// A stream of stop signals: Ctrl-C and SIGTERM.
///
/// With a JSON Lines file, SIGHUP reopens the file. Without one, SIGHUP keeps the effect with which the process was started:
/// `nohup` ignores it.
struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// The signal to reopen a file, and the sink that writes to it.
    #[cfg(unix)]
    reopen: Option<(tokio::signal::unix::Signal, JsonLinesSink)>,
}

impl StopSignals {
    #[cfg(unix)]
    fn listen(events: Option<JsonLinesSink>) -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            reopen: match events {
                Some(events) => Some((signal(SignalKind::hangup())?, events)),
                None => None,
            },
        })
    }

    #[cfg(not(unix))]
    fn listen(_: Option<JsonLinesSink>) -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                events = hung_up(&mut self.reopen) => reopen(events).await,
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

/// Waits for the signal to reopen a file. Without a file, waits forever.
#[cfg(unix)]
async fn hung_up(reopen: &mut Option<(tokio::signal::unix::Signal, JsonLinesSink)>) -> JsonLinesSink {
    if let Some((signal, events)) = reopen
        && signal.recv().await.is_some()
    {
        return events.clone();
    }
    std::future::pending().await
}

/// Opens the file of the events again, after log rotation has renamed it.
#[cfg(unix)]
async fn reopen(events: JsonLinesSink) {
    // Opening a file may block.
    match tokio::task::spawn_blocking(move || events.reopen()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("gateway: EVENTS: {error}"),
        Err(error) => eprintln!("gateway: EVENTS: {error}"),
    }
}
