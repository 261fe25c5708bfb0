//! A sink of your own: events in batches to a writer that may block, here one that sums bytes by tenant.
//!
//! ```text
//! cargo run --example custom_sink
//! ```

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tower::{Layer, ServiceExt};
use tower_tagging::{
    Event, MetadataLayer, TaggingLayer,
    event::Outcome,
    sink::{BatchWriter, Fanout, Filter, Queued, WriteError},
    sources::TagSources,
};

/// Bytes sent, by tenant.
type Totals = Arc<Mutex<BTreeMap<String, u64>>>;

/// Runs on a thread of its own, so it may lock, write files or call a server.
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let totals = Totals::default();
    let sinks = Fanout::new()
        .with(Queued::new("bytes by tenant", BytesByTenant(Arc::clone(&totals))))
        // A closure is a sink too; this one sees only what did not end well.
        .with(Filter::new(
            |event: &Event| event.outcome() != Outcome::Completed,
            |event: Arc<Event>| println!("{} {}", event.path(), event.outcome()),
        ));
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::new().allow_list("x-tenant=tenant")?))
        .sink(sinks)
        .build()?;
    let delivery = tagging.delivery();
    let service =
        tagging.layer(tower::service_fn(|_| async { Ok::<_, Infallible>(http::Response::new("hello".to_owned())) }));

    for tenant in ["acme", "globex", "acme"] {
        let request = http::Request::get("/").header("x-tenant", tenant).body(String::new())?;
        let response = service.clone().oneshot(request).await?;
        // Reading the body to its end completes a request; dropping it, as a client that hangs up does, cancels it.
        let _ = http_body_util::BodyExt::collect(response.into_body()).await?;
    }
    drop(service.oneshot(http::Request::get("/abandoned").body(String::new())?).await?);

    let report = delivery.shutdown(Duration::from_secs(5)).await;
    println!("{report}\n{:?}", totals.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}
