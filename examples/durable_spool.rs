//! Keeps events in a spool across restarts: the billing server is unavailable, the process ends, and the next process
//! delivers the events.
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

/// A server that may be unavailable.
#[derive(Default)]
struct BillingServer {
    is_up: AtomicBool,
    invoices: AtomicUsize,
}

/// Sends events to the server, on a dedicated thread.
struct BillingWriter(Arc<BillingServer>);

impl BatchWriter for BillingWriter {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        if !self.0.is_up.load(SeqCst) {
            // Retried until the server is available.
            return Err(WriteError::retryable("connection refused"));
        }
        self.0.invoices.fetch_add(events.len(), SeqCst);
        Ok(())
    }
}

/// Serves requests, like one process from its start to its end.
async fn process(folder: &Path, server: &Arc<BillingServer>, requests: usize) -> Result<(), Box<dyn Error>> {
    let spool = Spool::builder(folder)
        .mode(SpoolMode::Always)
        .fsync(Fsync::Interval(Duration::from_millis(500)))
        .max_bytes(256 << 20)
        .open()?;
    let sink = Queued::builder("billing", BillingWriter(Arc::clone(server))).spool(spool).build();
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::new().allow_list("x-tenant=tenant")))
        .events(EventLayer::new(sink))
        .build()?;
    let delivery = tagging.delivery();
    let service =
        tagging.layer(tower::service_fn(|_| async { Ok::<_, Infallible>(http::Response::new("hello".to_owned())) }));
    for _ in 0..requests {
        let request = http::Request::get("/").header("x-tenant", "acme").body(String::new())?;
        drop(service.clone().oneshot(request).await?);
    }
    eprintln!("ready: {}", delivery.is_healthy());
    let report = delivery.shutdown(Duration::from_secs(5)).await;
    eprintln!("{report}");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("tower-tagging-spool-{}", std::process::id()));
    let server = Arc::new(BillingServer::default());

    eprintln!("the billing server is down during 1000 requests");
    process(&folder, &server, 1000).await?;

    eprintln!("the server is up for the next process");
    server.is_up.store(true, SeqCst);
    process(&folder, &server, 1).await?;

    eprintln!("{} invoices", server.invoices.load(SeqCst));
    assert_eq!(server.invoices.load(SeqCst), 1001);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
