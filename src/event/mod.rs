//! The event: the single record of a request.
//!
//! Every request through an [`EventLayer`](crate::EventLayer) produces exactly one [`Event`]. The sinks receive it as an
//! `Arc<Event>` when the request has really ended: at the end of the response body, not at its head. The event records
//! the caller (effective metadata), the trace (trace ids), how the request ended ([`Outcome`]), what it cost
//! ([`Event::llm`]), and what was truncated or dropped on the way in (diagnostics).
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
//! drop(response); // The client disconnected before it read the body.
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
//! An event is an immutable value. Tests of sinks and imports from other systems create one with [`Event::builder`].
//!
//! # JSON
//!
//! [`Event`] has a table of all members with their getters and the columns of the stores.
//!
//! `serde_json::to_string(&event)` follows the schema `tower-tagging/1`, and `serde_json::from_str::<Event>` reads it back.
//! Times are UTC in RFC 3339 format with microseconds. Durations are integer microseconds. Money is in US dollars with at
//! most nine decimals. Unknown values are `null`, never zero. Minor versions may add fields but never rename them.
//!
//! ```json
//! {"schema":"tower-tagging/1","id":"01979b3c-…","time":"2026-01-31T12:00:00.000250Z",
//!  "trace":{"trace_id":"0af7651916cd43dd8448eb211c80319c","client_trace_id":"req-7f3a","span_id":"b7ad6b7169203331", "…":"…"},
//!  "request":{"method":"POST","path":"/v1/chat/completions","route":"/v1/chat/completions","host":"localhost","http_version":"HTTP/1.1","body_bytes":69},
//!  "response":{"status":200,"body_bytes":580},
//!  "timing":{"head_us":1250,"first_byte_us":1280,"duration_us":1302},
//!  "api_key":null,"workspace":null,"virtual_key":null,
//!  "outcome":"completed","rejection":null,"limit_rule":null,"error":null,
//!  "metadata":{"_user":"ada","team":"growth"},"sources":{"_user":"request","team":"workspace"},
//!  "diagnostics":[{"code":"shadowed","key":"team","detail":"marketing"}]}
//! ```
//!
//! Requests that called an LLM API also have a member `llm`; see the module `usage`.

mod clock;
mod draft;
mod event;
mod event_builder;
mod facts;
pub(crate) mod grpc;
mod json;
#[cfg(feature = "test-util")]
mod manual_clock;
mod outcome;
mod pool;
mod settle;
mod system_clock;
mod work;

#[cfg(feature = "test-util")]
pub use self::manual_clock::ManualClock;
pub use self::{clock::Clock, event::Event, event_builder::EventBuilder, outcome::Outcome, system_clock::SystemClock};
pub(crate) use self::{
    draft::{Draft, EventPool, EventPoolOwner},
    facts::{Attachments, Facts},
    settle::{Settle, Settled},
    work::{WORK, is_work},
};
