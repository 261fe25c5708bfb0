//! The main job: a reverse proxy for LLM APIs that tags every request and writes one event for each.
//!
//! ```text
//! cargo run --example gateway --features full
//! ```
//!
//! Without `UPSTREAM` it answers from a built-in demo provider, so it needs no server, key or network. Events go to
//! standard output, everything for people to standard error. See `config.rs` for the environment variables.

mod config;
mod demo;
mod proxy;

use std::{process::ExitCode, time::Duration};

use std::future::IntoFuture;

use axum::{Router, serve::ListenerExt};
use config::Config;
use tokio::{net::TcpListener, runtime::Runtime};
use tower_tagging::{
    sink::{Delivery, SinkReport},
    usage::include_usage::InjectIncludeUsageLayer,
};

/// How long requests at hand may take once the gateway is told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the delivery of events may take after that.
const DELIVER: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    // What delivery has to say, for example why events could not be written.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("gateway: {problem}");
            return ExitCode::from(2);
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("gateway: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> std::io::Result<()> {
    let delivery = config.tagging.as_ref().map_or_else(Delivery::none, tower_tagging::TaggingLayer::delivery);
    let app = match &config.upstream {
        Some(upstream) => proxy::router(upstream.clone()),
        None => demo::router(),
    };
    let app = match config.tagging {
        // Outside of the tap, which is to see what the client is not.
        Some(tagging) if config.includes_usage => app.layer(tagging).layer(InjectIncludeUsageLayer::new()),
        Some(tagging) => app.layer(tagging),
        None => app,
    };
    let runtime = Runtime::new()?;
    runtime.block_on(serve(app, config.listen, config.upstream.as_ref()))?;
    // Requests that did not end in time are dropped here, and their events say so.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let report = delivery.shutdown(DELIVER);
    eprintln!("{report}");
    // What waits in the spool is delivered by the next process.
    let lost = |sink: &SinkReport| sink.dropped() + sink.in_flight().saturating_sub(sink.spool().waiting);
    match report.sinks().iter().map(lost).sum() {
        0 => Ok(()),
        lost => Err(std::io::Error::other(format!("{lost} events were lost"))),
    }
}

async fn serve(app: Router, listen: std::net::SocketAddr, upstream: Option<&http::Uri>) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|problem| std::io::Error::new(problem.kind(), format!("LISTEN: {listen}: {problem}")))?;
    let address = listener.local_addr()?;
    // Small chunks of a stream must not wait for each other.
    let listener = listener.tap_io(|stream| {
        if let Err(problem) = stream.set_nodelay(true) {
            eprintln!("gateway: TCP_NODELAY: {problem}");
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
    let mut signals = StopSignals::listen()?;
    // How often it was told to stop.
    let (told, mut stop) = tokio::sync::watch::channel(0_u32);
    tokio::spawn(async move {
        loop {
            signals.next().await;
            if *told.borrow() == 0 {
                eprintln!("gateway: stopping; requests at hand have {DRAIN:?} to end, or until you say so again");
            }
            told.send_modify(|times| *times += 1);
        }
    });
    let mut stopping = stop.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        // An error means that nobody can tell us to stop any more.
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

/// Ctrl-C and SIGTERM, one after the other.
struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        #[cfg(unix)]
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            // Nobody can tell it.
            std::future::pending::<()>().await;
        }
    }
}
