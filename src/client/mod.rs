//! HTTP clients whose calls are tagged, traced, and observed.
//!
//! [`TaggedClient`] wraps any client that is a Tower service, such as hyper-util's. `ReqwestClient` (feature `reqwest`)
//! wraps a [reqwest](https://docs.rs/reqwest) client, and through it SDKs that accept one. Both are `Clone + Send + Sync` and
//! can be named, so they fit into the state of an app.
//!
//! A call that is made while a request is handled belongs to that request ([`Tags::current`](crate::Tags::current)):
//!
//! | | by default |
//! |---|---|
//! | trace | the call is a child span of the request and sends its `traceparent` |
//! | tags | sent to the hosts that a [`PropagateLayer`] allows, and to hosts that these redirect to if the inner client follows redirects |
//! | usage and cost | read from the response (feature `llm`), and added to the event of the request |
//! | events of the calls | none; see [`TaggedClient::tagging`] |
//!
//! ```
//! use http::{Request, Response};
//! use tower_tagging::{Tags, client::TaggedClient};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A stand-in for hyper-util's client.
//! let client = TaggedClient::new(tower::service_fn(|sent: Request<_>| async move {
//!     assert!(sent.headers().contains_key("traceparent"));
//!     Ok::<_, std::convert::Infallible>(Response::new(String::from("hello")))
//! }));
//! let call = Request::post("https://api.example.com/v1/chat/completions").body(String::new())?;
//! // Within a handler, the tagging layer sets the current request. Here, `scope` does.
//! let response = Tags::new().scope(client.send(call)).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! [`guide::outgoing_calls`](crate::guide::outgoing_calls) has complete examples for reqwest, async-openai, and hyper-util
//! with TLS.
//!
//! # When it happens
//!
//! The current request is read when the call starts: when the future of [`TaggedClient::send`] is first polled, or by the method
//! `call` of the service. In a spawned task there is none, unless the task runs within
//! [`Tags::scope`](crate::Tags::scope). Usage is added to the request when the body of the response ends or is
//! dropped, so read it before the request ends.
//!
//! # Errors of calls
//!
//! A call that fails, or whose response contains an error of the provider ([`LlmCall::error`](crate::usage::LlmCall::error)),
//! does not make the request an error. The handler decides that by its own response. The error is on the event and the span
//! of the call, if it has one.
//!
//! [`PropagateLayer`]: crate::PropagateLayer

#[cfg(feature = "reqwest")]
mod reqwest_client;
#[cfg(feature = "reqwest")]
mod reqwest_transport;
mod tagged_client;

#[cfg(feature = "reqwest")]
pub use self::reqwest_client::ReqwestClient;
pub use self::tagged_client::TaggedClient;
