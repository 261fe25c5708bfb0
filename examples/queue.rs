//! Consumes messages of a queue, with one event per message.
//!
//! ```text
//! cargo run --example queue --features propagate
//! ```
//!
//! A channel stands for the queue. The producer sends its trace and the tags that the consumer may have. The events are
//! written to standard output, one line of JSON each.

use std::{error::Error, time::Duration};

use http::HeaderMap;
use tokio::sync::mpsc;
use tower_tagging::{
    TaggingLayer, Tags,
    propagate::{self, Destination, Dialect},
    sink::JsonLinesSink,
    sources::TagSources,
};

/// A message with headers, as Kafka, NATS, and AMQP have them.
struct Message {
    headers: HeaderMap,
    invoice: u32,
}

async fn book(message: &Message) -> Result<(), String> {
    // Gives other messages a turn, as a database would.
    tokio::task::yield_now().await;
    if message.invoice == 13 { Err(format!("invoice {} has no customer", message.invoice)) } else { Ok(()) }
}

async fn consume(mut queue: mpsc::Receiver<Message>, tagging: TaggingLayer) {
    while let Some(message) = queue.recv().await {
        let booked = Tags::work("consume invoices")
            .headers(&message.headers)
            .tag("queue", "invoices")
            .run(&tagging, |tags| async move {
                tags.insert("invoice_id", message.invoice.to_string());
                book(&message).await
            })
            .await;
        if let Err(error) = booked {
            eprintln!("put back into the queue: {error}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tagging =
        TaggingLayer::builder().sources(TagSources::new().baggage(true)).sink(JsonLinesSink::stdout()).build()?;
    let delivery = tagging.delivery();
    let (sender, queue) = mpsc::channel(16);
    let consumer = tokio::spawn(consume(queue, tagging.clone()));

    // The producer. In a handler, `Tags` is the handle of the request.
    let destination = Destination::new().dialect(Dialect::Baggage).allow(["tenant"]);
    let import = Tags::work("import invoices").tag("tenant", "acme").start(&tagging);
    for invoice in [7, 13] {
        let headers = propagate::headers(import.tags(), &destination);
        sender.send(Message { headers, invoice }).await?;
    }
    import.complete();

    drop(sender);
    consumer.await?;
    let report = delivery.shutdown(Duration::from_secs(5)).await;
    eprintln!("{report}");
    assert!(report.is_complete());
    Ok(())
}
