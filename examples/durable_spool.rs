//! Events that survive their process: the billing server is down, the process ends, and the next process delivers.
//!
//! ```text
//! cargo run --example durable_spool --features spool
//! ```

use std::{
    convert::Infallible,
    error::Error,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tower::{Layer, ServiceExt};
use tower_tagging::{
    EventLayer, MetadataLayer, TaggingLayer,
    event::Event,
    sink::{BatchWriter, Fsync, Queued, Spool, SpoolMode, WriteError},
    sources::TagSources,
};

/// A server that may be down.
#[derive(Default)]
struct BillingServer {
    is_up: AtomicBool,
    invoices: AtomicUsize,
}

/// Sends events to the billing server. `Queued` calls it on a dedicated thread.
struct BillingWriter(Arc<BillingServer>);

impl BatchWriter for BillingWriter {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        if !self.0.is_up.load(SeqCst) {
            // With a spool, retryable errors are retried for as long as the outage lasts.
            return Err(WriteError::retryable("connection refused"));
        }
        self.0.invoices.fetch_add(events.len(), SeqCst);
        Ok(())
    }
}

/// Runs one process from start to shutdown.
async fn run_process(directory: &Path, server: &Arc<BillingServer>, requests: usize) -> Result<(), Box<dyn Error>> {
    let spool = Spool::builder(directory)
        .mode(SpoolMode::Always)
        .fsync(Fsync::Interval(Duration::from_millis(500)))
        .max_bytes(256 << 20)
        .open()?;
    let sink = Queued::builder("billing", BillingWriter(Arc::clone(server))).spool(spool).build();
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::new().allow_list("x-tenant=tenant")?))
        .events(EventLayer::new(sink))
        .build()?;
    let delivery = tagging.delivery();
    let service =
        tagging.layer(tower::service_fn(|_| async { Ok::<_, Infallible>(http::Response::new("hello".to_owned())) }));
    for _ in 0..requests {
        let request = http::Request::get("/").header("x-tenant", "acme").body(String::new())?;
        drop(service.clone().oneshot(request).await?);
    }
    println!("healthy: {}", delivery.is_healthy());
    let report = tokio::task::spawn_blocking(move || delivery.shutdown(Duration::from_secs(5))).await?;
    println!("{report}");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("tower-tagging-spool-{}", std::process::id()));
    let server = Arc::new(BillingServer::default());

    println!("first process: the billing server is down during 1000 requests");
    run_process(&directory, &server, 1000).await?;

    println!("second process: the billing server is up");
    server.is_up.store(true, SeqCst);
    run_process(&directory, &server, 1).await?;

    println!("{} invoices", server.invoices.load(SeqCst));
    assert_eq!(server.invoices.load(SeqCst), 1001);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
