//! A fast mock of an LLM API for `benches/gateway.sh`, with canned unary and streamed responses.

use std::{convert::Infallible, error::Error};

use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const CHUNK: &str = concat!(
    r#"data: {"id":"chatcmpl-mock","object":"chat.completion.chunk","model":"gpt-4o-2024-08-06","#,
    r#""choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}"#,
    "\n\n"
);
const ANSWER: &str = concat!(
    r#"{"id":"chatcmpl-mock","object":"chat.completion","model":"gpt-4o-2024-08-06","#,
    r#""choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"#,
    r#""usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}"#
);
const CHUNKS: usize = 20;

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let streams = body.windows(8).any(|window| window == b"\"stream\"");
    let (content_type, body) = if streams {
        // Writes each chunk separately, like a model.
        let frames = stream::unfold(0, async |sent| {
            tokio::task::yield_now().await;
            (sent < CHUNKS).then(|| (Ok(Frame::data(Bytes::from_static(CHUNK.as_bytes()))), sent + 1))
        });
        ("text/event-stream", StreamBody::new(Box::pin(frames)).boxed())
    } else {
        ("application/json", Full::from(ANSWER).boxed())
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(content_type));
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("mock upstream on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // Fails if the client closes the connection early.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}
