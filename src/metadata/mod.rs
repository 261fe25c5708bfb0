//! Tags: their scopes, the merge of scopes, and limits.
//!
//! A tag is a key with a string value, such as `tenant=acme`. [`MetadataLayer`](crate::MetadataLayer) reads the tags of a
//! request from its headers, merges them with the tags of trusted scopes, and puts the handle [`Tags`](crate::Tags) into
//! the request extensions. [`TaggingLayer`](crate::TaggingLayer) includes it. Use it on its own if you need tags without
//! trace ids and events:
//!
//! ```
//! use tower::{Layer, ServiceExt};
//! use tower_tagging::{MetadataLayer, Tags, metadata::Scope, sources::TagSources, tags};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = MetadataLayer::builder()
//!     .sources(TagSources::portkey())
//!     .scope(Scope::Fallback, tags! { "env" => "dev" })
//!     .scope(Scope::Forced, tags! { "region" => "eu" })
//!     .build()?;
//!
//! let service = layer.layer(tower::service_fn(|request: http::Request<String>| async move {
//!     let tags = request.extensions().get::<Tags>().ok_or("no tags")?;
//!     assert_eq!(tags.metadata(), tags! { "_user" => "ada", "env" => "dev", "region" => "eu" });
//!     Ok::<_, &str>(http::Response::new(String::new()))
//! }));
//!
//! let request = http::Request::builder()
//!     .header("x-portkey-metadata", r#"{"_user": "ada", "region": "spoofed"}"#)
//!     .body(String::new())?;
//! service.oneshot(request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Which value wins
//!
//! Every tag has a [`Scope`]. The strongest scope that sets a key wins:
//!
//! | | weakest | | | | | strongest |
//! |---|---|---|---|---|---|---|
//! | [`Precedence::Strict`], the default | `Fallback` | `Request` | `Handler` | `ApiKey` | `Workspace` | `Forced` |
//! | [`Precedence::Legacy`] | `Fallback` | `Workspace` | `ApiKey` | `Request` | `Handler` | `Forced` |
//!
//! Clients can only set tags of the scope [`Request`](Scope::Request). If a stronger trusted scope sets the same key,
//! the client's tag is *shadowed*: the event has a [diagnostic](Diagnostic) with the client's value, and the layer
//! [counts](crate::MetadataLayer::shadowed_total) it. The same applies to tags of the scope [`Handler`](Scope::Handler).
//!
//! The other scopes are trusted. Their tags come from the following places. If several set the same key in the same scope,
//! the last one wins:
//!
//! 1. [`MetadataLayerBuilder::scope`](crate::tagging::MetadataLayerBuilder::scope): tags that are known when the layer is built
//! 2. [`MetadataLayerBuilder::resolver`](crate::tagging::MetadataLayerBuilder::resolver): a closure over the request head that, for
//!    example, looks up the API key
//! 3. A [`Scopes`] extension that an outer layer inserted into the request
//! 4. [`Tags::insert`](crate::Tags::insert) for the scope [`Handler`](Scope::Handler), and
//!    [`Tags::extend_scope`](crate::Tags::extend_scope) for any scope, called by an inner layer or handler
//!
//! # When tags are read
//!
//! The layer copies the relevant [headers](crate::sources) when a request arrives. It reads, limits, and merges them when
//! a handler asks for the tags, or else on the thread of a sink. If a request can be [rejected](Overflow::Reject) because
//! of its tags, they are read before the service is called.
//!
//! # Limits
//!
//! [`Limits`] bound the length and number of tags. Tags that exceed them are truncated, dropped, or rejected, and recorded
//! as a diagnostic. An event has at most 64 diagnostics about reading its tags, one for each shadowed tag, and
//! `more_diagnostics` with the number of those that were left out.

mod diagnostic;
mod diagnostic_code;
mod diagnostics;
mod enforce;
mod filtered_tag;
mod iter;
mod limits;
mod merge;
mod metadata;
mod overflow;
mod parse_precedence_error;
mod precedence;
mod scope;
mod scopes;
mod tag_filter;
mod tag_table;
mod tag_writer;
mod user_key;

pub use self::{
    diagnostic::Diagnostic, diagnostic_code::DiagnosticCode, filtered_tag::FilteredTag, iter::Iter, limits::Limits,
    metadata::Metadata, overflow::Overflow, parse_precedence_error::ParsePrecedenceError, precedence::Precedence,
    scope::Scope, scopes::Scopes, tag_filter::TagFilter,
};
pub(crate) use self::{diagnostics::Diagnostics, tag_writer::TagWriter, user_key::USER_KEY};
