//! The event: the one record of a request.
//!
//! Every request through an [`EventLayer`](crate::EventLayer) ends in exactly one [`Event`], handed to the sinks as an
//! `Arc<Event>` when the request is truly over: at the end of the response body, not at its head. It says who asked
//! (effective metadata), where it belongs (trace ids), how it ended ([`Outcome`]) and what was left out on the way in
//! (diagnostics).
//!
//! ```
//! # #[cfg(feature = "test-util")] {
//! use tower::{Layer, ServiceExt};
//! use tower_tagging::{EventLayer, event::Outcome, sink::MockSink};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sink = MockSink::new();
//! let service = EventLayer::new(sink.clone()).layer(tower::service_fn(|_: http::Request<String>| async {
//!     Ok::<_, std::convert::Infallible>(http::Response::new(String::from("hello")))
//! }));
//! let response = service.oneshot(http::Request::get("/greeting").body(String::new())?).await?;
//! drop(response); // the client went away before it read the body
//!
//! let event = sink.single();
//! assert_eq!(event.path(), "/greeting");
//! assert_eq!(event.outcome(), Outcome::Cancelled);
//! assert_eq!(event.response_body_bytes(), 0);
//! # Ok(())
//! # }
//! # main().unwrap(); }
//! ```
//!
//! # Serialized
//!
//! `serde_json::to_string(&event)` follows the schema `tower-tagging/1`: times are UTC RFC 3339 with microseconds,
//! durations integer microseconds, and what is not known is `null`, never zero. Fields may be added in a minor version;
//! none is renamed.
//!
//! ```json
//! {"schema":"tower-tagging/1","id":"01979b3c-…","time":"2026-01-31T12:00:00.000250Z",
//!  "trace":{"trace_id":"req-7f3a","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331", "…":"…"},
//!  "request":{"method":"POST","path":"/v1/chat/completions","route":"/v1/chat/completions","host":"localhost","http_version":"HTTP/1.1","body_bytes":69},
//!  "response":{"status":200,"body_bytes":580},
//!  "timing":{"head_us":1250,"first_byte_us":1280,"duration_us":1302},
//!  "outcome":"completed","error":null,
//!  "metadata":{"_user":"ada","team":"growth"},"sources":{"_user":"request","team":"workspace"},
//!  "diagnostics":[{"code":"shadowed","key":"team","detail":"marketing"}]}
//! ```
//!
//! `serde_json::from_str::<Event>(line)` reads it back.
//!
//! With the feature `llm`, calls of LLM APIs have a member `llm` too: see the module `usage`.

mod clock;
mod outcome;
mod parse;
mod pool;
mod record;

#[cfg(feature = "test-util")]
pub use self::clock::ManualClock;
pub(crate) use self::pool::{EventPool, EventPoolOwner};
pub use self::{
    clock::{Clock, SystemClock},
    outcome::Outcome,
    record::Event,
};
