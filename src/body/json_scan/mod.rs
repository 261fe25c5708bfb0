//! Finds values in a JSON document while it streams past in chunks of any size.
//!
//! Only the current value is buffered, so memory is bounded for documents of any size. The scanner checks no more of the
//! syntax than it needs to find its way.
//!
//! # How it works
//!
//! [`JsonScanner::feed`] chooses between two paths that must report the same values. A property test compares them on
//! arbitrary input and chunk boundaries.
//!
//! - The fast path (`fast.rs`) takes a key or value that lies within the chunk as a whole, and skips containers in which
//!   nothing is wanted.
//! - The slow path (`state.rs`) is a state machine over single bytes. It handles everything that a chunk boundary cuts.
//!
//! # Alternatives
//!
//! - [`actson`](https://docs.rs/actson) is also push-based. It copies all bytes into its feeder, emits an event for every
//!   token, and fails on invalid JSON. It has no call that returns an object as it is written, or that skips one.
//! - [`struson`](https://docs.rs/struson) reads from a [`Read`](std::io::Read) and can skip values, but is pull-based: it
//!   cannot pause at the end of a body frame.
//! - [`jiter`](https://docs.rs/jiter) iterates over a complete slice, so the whole body would have to be buffered.

#[cfg(feature = "llm")]
mod documents;
mod fast;
mod lexical;
mod scanner;
mod state;
#[cfg(test)]
mod tests;
mod wanted;

pub(crate) use self::{
    scanner::JsonScanner,
    wanted::{Node, Roots, Want},
};
