//! Wraps a hyper service without axum, and handles events in a closure.
//!
//! ```text
//! cargo run --example hyper_server
//! ```
//!
//! Serves HTTP/1 and HTTP/2 on a free port, sends itself one request, and prints the event to standard output.

use std::{convert::Infallible, error::Error};

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tower::{Layer, service_fn};
use tower_tagging::{MetadataLayer, TaggingLayer, Tags, sink, sources::TagSources};

async fn hello(request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let user = request.extensions().get::<Tags>().and_then(|tags| tags.get("_user"));
    Ok(http::Response::new(Full::from(format!("hello {}", user.as_deref().unwrap_or("stranger")))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // `hello` accepts only hyper's own body type, so the layer must not wrap the request body.
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::all()))
        .sink(sink::from_fn(|event| println!("{}", serde_json::to_string_pretty(&*event).unwrap_or_default())))
        .build()?
        .without_request_body();
    let service = TowerToHyperService::new(tagging.layer(service_fn(hello)));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let connection = auto::Builder::new(TokioExecutor::new());
                if let Err(error) = connection.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
                    eprintln!("connection failed: {error}");
                }
            });
        }
    });

    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let request = http::Request::get(format!("http://{address}/greeting"))
        .header("x-majordomo-feature", "greeting")
        .header("baggage", "_user=ada,plan=pro")
        .body(Empty::new())?;
    let response = client.request(request).await?;
    eprintln!("{:?}", response.into_body().collect().await?.to_bytes());
    Ok(())
}
