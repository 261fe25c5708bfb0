//! Guides that span several modules.
#![cfg_attr(
    not(all(feature = "otel", feature = "propagate")),
    allow(rustdoc::broken_intra_doc_links, reason = "the guides link to modules that need features")
)]

#[doc = include_str!("docs/in_production.md")]
pub mod in_production {}

#[doc = include_str!("docs/use_cases.md")]
pub mod use_cases {}

#[doc = include_str!("docs/cookbook.md")]
pub mod cookbook {}

#[doc = include_str!("docs/outgoing_calls.md")]
pub mod outgoing_calls {}

#[doc = include_str!("docs/grpc.md")]
pub mod grpc {}

#[doc = include_str!("docs/trusted_tags.md")]
pub mod trusted_tags {}

#[doc = include_str!("docs/queries.md")]
pub mod queries {}

#[doc = include_str!("docs/limits.md")]
pub mod limits {}

#[cfg(feature = "test-util")]
#[doc = include_str!("docs/testing.md")]
pub mod testing {}

#[doc = include_str!("docs/add_a_provider.md")]
pub mod add_a_provider {}
