//! Implements two custom sinks: one writes batches on its own thread, and one delivers events on an async task.
//!
//! ```text
//! cargo run --example custom_sink
//! ```

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tower::{Layer, ServiceExt};
use tower_tagging::{
    Event, MetadataLayer, Sink, TaggingLayer,
    event::Outcome,
    sink::{
        self, BatchWriter, Counts, Delivery, DeliverySource, DropReason, Fanout, Filter, Queued, SinkReport, WriteError,
    },
    sources::TagSources,
};

/// Bytes sent, by tenant.
type Totals = Arc<Mutex<BTreeMap<String, u64>>>;

/// Sums bytes by tenant. It runs on its own thread, so it may block, write files, or call a server.
struct BytesByTenant(Totals);

impl BatchWriter for BytesByTenant {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let tenant = event.metadata().get("tenant").unwrap_or("unknown");
            *totals.entry(tenant.to_owned()).or_default() += event.response_body_bytes();
        }
        Ok(())
    }
}

/// Sends events to a task on the service's runtime, which could use an async client.
struct Webhook {
    sender: mpsc::Sender<Arc<Event>>,
    state: Arc<WebhookState>,
}

/// The counts that the sink and its task share.
#[derive(Default)]
struct WebhookState {
    counts: Counts,
    is_closed: AtomicBool,
}

impl Webhook {
    fn spawn() -> Self {
        let (sender, mut events) = mpsc::channel::<Arc<Event>>(1024);
        let state = Arc::new(WebhookState::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                // Stands in for a request to another service.
                tokio::time::sleep(Duration::from_millis(5)).await;
                eprintln!("webhook: {}", event.path());
                shared.counts.deliver(1);
            }
        });
        Self { sender, state }
    }
}

impl Sink for Webhook {
    fn emit(&self, event: Arc<Event>) {
        let WebhookState { counts, is_closed } = &*self.state;
        counts.accept();
        if is_closed.load(SeqCst) {
            counts.drop_for(DropReason::Closed, 1);
        } else if self.sender.try_send(event).is_err() {
            counts.drop_for(DropReason::QueueFull, 1);
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery::from(Arc::clone(&self.state))
    }
}

/// Includes the task in reports and the shutdown.
impl DeliverySource for WebhookState {
    fn report(&self) -> Option<SinkReport> {
        Some(self.counts.report("webhook"))
    }

    fn close(&self, _deadline: Instant) {
        self.is_closed.store(true, SeqCst);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let totals = Totals::default();
    let sinks = Fanout::new()
        .with(Queued::new("bytes by tenant", BytesByTenant(Arc::clone(&totals))))
        .with(Webhook::spawn())
        // A closure receives only the requests that did not complete.
        .with(Filter::new(
            |event: &Event| event.outcome() != Outcome::Completed,
            sink::from_fn(|event| eprintln!("{} {}", event.path(), event.outcome())),
        ));
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::new().allow_list("x-tenant=tenant")))
        .sink(sinks)
        .build()?;
    let delivery = tagging.delivery();
    let service =
        tagging.layer(tower::service_fn(|_| async { Ok::<_, Infallible>(http::Response::new("hello".to_owned())) }));

    for tenant in ["acme", "globex", "acme"] {
        let request = http::Request::get("/").header("x-tenant", tenant).body(String::new())?;
        let response = service.clone().oneshot(request).await?;
        // A request is completed when its response body has been read to the end.
        let _ = http_body_util::BodyExt::collect(response.into_body()).await?;
    }
    // A request is cancelled when its body is dropped early, for example because the client disconnects.
    drop(service.oneshot(http::Request::get("/abandoned").body(String::new())?).await?);

    let report = delivery.shutdown(Duration::from_secs(5)).await;
    eprintln!("{report}\n{:?}", totals.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(report.is_complete());
    Ok(())
}
