//! A sink with a bounded queue and a thread that passes batches to a writer.
//!
//! ```text
//!  requests                       Pipeline                                    worker thread
//!  ────────  push ┌──────────────────────────────────────┐ next_batch ┌──────────────────────────┐
//!   emit ────────►│ Queue: events in memory, in bounds   ├───────────►│ BatchWriter::write       │
//!                 │   ▲ │                                │            │   Ok: delivered          │
//!                 │   │ ▼ Spill: keeps the order of both │            │   rejected: bisected     │
//!                 │ Backlog: events on disk (optional)   │◄───────────┤   retryable: retried,    │
//!                 └──────────────────────────────────────┘   spill    │     spilled, or dropped  │
//!                                                                     └──────────────────────────┘
//! ```
//!
//! A request takes one lock, allocates nothing, and never waits for the writer. `order.rs` defines which events are
//! older when some are in memory and some in the backlog.

pub(crate) mod backlog;
mod batch_writer;
mod bisection;
mod bounds;
mod circuit;
mod drop_notifier;
mod failure;
mod memory;
mod order;
mod pipeline;
mod queue;
mod queue_full;
mod queued;
mod queued_builder;
mod retry_policy;
mod spill;
#[cfg(test)]
mod test_backlog;
mod worker;
mod worker_health;
mod write_error;
mod write_error_kind;
mod yielding_chunks;

pub(crate) use self::yielding_chunks::yielding_chunks;
pub use self::{
    batch_writer::BatchWriter, queue_full::QueueFull, queued::Queued, queued_builder::QueuedBuilder,
    retry_policy::RetryPolicy, write_error::WriteError, write_error_kind::WriteErrorKind,
};
