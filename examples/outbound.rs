//! Sends tags of a request, and a step of an agent, with an outgoing LLM call through a hyper client.
//!
//! ```text
//! cargo run --example outbound --features axum,propagate
//! ```
//!
//! Starts a mock provider and a service that calls it, both on free ports. Sends one request to the service, and prints
//! the headers that the provider receives.

use std::error::Error;

use axum::{Router, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, sync::mpsc};
use tower_tagging::{
    MetadataLayer, TaggingLayer, Tags,
    propagate::{self, Destination, Dialect},
    sources::TagSources,
};

/// The service's connection to its provider.
#[derive(Clone)]
struct Provider {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    /// The tags that the provider may receive.
    destination: Destination,
}

async fn answer(State(provider): State<Provider>, tags: Tags) -> axum::response::Result<impl IntoResponse> {
    tags.insert("feature", "search");
    let step = tags.child("agent:answer").child("llm:rewrite_query");
    let call = http::Request::post(&provider.url).body(Full::from(r#"{"model":"gpt-4o"}"#));
    let mut call = call.map_err(|error| error.to_string())?;
    call.headers_mut().extend(propagate::headers(&step, &provider.destination));
    let response = provider.client.request(call).await.map_err(|error| error.to_string())?;
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
    Ok(body.to_bytes())
}

async fn serve(app: Router) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1/chat/completions", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (seen, mut received) = mpsc::channel(1);
    let provider = Router::new().fallback(async move |headers: HeaderMap| {
        // The channel has room for the only request of this example.
        let _ = seen.try_send(headers);
        r#"{"choices":[]}"#
    });
    let client = Client::builder(TokioExecutor::new()).build_http();
    let provider = Provider {
        client: client.clone(),
        url: serve(provider).await?,
        destination: Destination::new()
            .dialect(Dialect::Portkey)
            .dialect(Dialect::Majordomo)
            .allow(["feature"])
            .allow_as("_user", "user_id"),
    };

    let tagging = TaggingLayer::builder().metadata(MetadataLayer::builder().sources(TagSources::portkey())).build()?;
    let service = serve(Router::new().fallback(post(answer)).with_state(provider).layer(tagging)).await?;

    let request = http::Request::post(service)
        .header("x-portkey-trace-id", "req-7f3a")
        .header("x-portkey-metadata", r#"{"_user": "Zo\u00eb", "plan": "internal"}"#)
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("tracestate", "vendor=42");
    let response = client.request(request.body(Full::default())?).await?;
    assert!(response.status().is_success());

    let headers = received.recv().await.ok_or("the provider received nothing")?;
    for (name, value) in &headers {
        eprintln!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    assert_eq!(headers["x-portkey-metadata"], r#"{"feature":"search","user_id":"Zo\u00eb"}"#);
    assert_eq!(headers["x-majordomo-span-path"], "agent:answer/llm:rewrite_query");
    assert!(!headers.values().any(|value| value.as_bytes().windows(8).any(|text| text == b"internal")));
    Ok(())
}
