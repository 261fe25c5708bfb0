//! A spool: events on disk that survive an outage of their destination and a killed process.
//!
//! A [`Queued`](super::Queued) sink holds its events in memory, where space is limited and a crash loses them. With a
//! [`Spool`], the sink also appends events to files in a directory and delivers them from there in order.
//!
//! # Example
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use tower_tagging::{EventLayer, event::Event, sink::{BatchWriter, Fsync, Queued, Spool, SpoolMode, WriteError}};
//!
//! struct Billing;
//!
//! impl BatchWriter for Billing {
//!     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
//!         // Send the events. Return `WriteError::retryable` if the server is unavailable.
//!         Ok(())
//!     }
//! }
//!
//! # let directory = std::env::temp_dir().join(format!("spool-{}", std::process::id()));
//! let spool = Spool::builder(&directory)
//!     .mode(SpoolMode::Always)
//!     .fsync(Fsync::Interval(Duration::from_secs(1)))
//!     .max_bytes(4 << 30)
//!     .open()?;
//! let layer = EventLayer::new(Queued::builder("billing", Billing).spool(spool).build());
//! // Serve requests through the layer. On shutdown:
//! let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
//! assert!(report.is_complete(), "{report}");
//! # std::fs::remove_dir_all(directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When an event is written
//!
//! | mode | an event is written | cost to a request | lost on `kill -9` |
//! |---|---|---|---|
//! | [`OnOverflow`](SpoolMode::OnOverflow) | when memory is full, or while the destination is unavailable | none, unless the request finds memory full: then about 10 µs for each of up to 32 events | the events in memory |
//! | [`Always`](SpoolMode::Always) | before the client receives the end of the response | one write to the page cache, about 10 µs | nothing: the next process delivers the event, unless [the spool could not be written](#when-the-spool-cannot-be-written) |
//!
//! Delivery is *at least once*. A process that is killed after a batch was delivered and before that was recorded leaves
//! events that the next process delivers again. The [event id](crate::Event::id) identifies duplicates. The stores of
//! this crate ignore them.
//!
//! # When files are flushed
//!
//! Written events survive a killed process under every policy. The policy limits the loss when the machine itself stops:
//!
//! | policy | lost at most on power failure |
//! |---|---|
//! | [`Fsync::Always`] | events written since the latest flush began. Flushes follow each other without a pause, and no request waits for them |
//! | [`Fsync::Interval`] | events written within one interval and during the latest flush |
//! | [`Fsync::Never`] | events that the operating system has not written back: on Linux, up to about 30 seconds of events |
//!
//! # Files
//!
//! Only one process at a time can open a directory. The directory holds these files:
//!
//! - `00000000000000000001.log`, …: segments of records. A record is a marker, the length of an event, its CRC-32, and
//!   the event as JSON. A segment is deleted when all its events are delivered.
//! - `cursor`: the position up to which events are delivered.
//! - `lock`: an empty file, locked while the spool is open.
//!
//! A damaged record, for example one that was cut off by a crash, is skipped and
//! [counted](super::SpoolReport::damaged). Its marker locates the next record.
//!
//! # When the spool cannot be written
//!
//! A full disk, missing permissions, or a directory that was removed or replaced can make the spool unusable while the
//! service runs. Requests are not affected, and events that the spool does not accept stay in memory. **Until the spool can
//! be written again, [`Always`](SpoolMode::Always) promises no more than a queue in memory**: a killed process loses the
//! events that are [in memory](super::SinkReport::in_memory). When memory is full as well, events are dropped as
//! [`SpoolFailed`](super::DropReason::SpoolFailed).
//!
//! - The first failure is logged as a warning, and so is the end.
//! - [`Delivery::is_healthy`](super::Delivery::is_healthy) returns `false`, the health of the sink is
//!   [`SpoolFailed`](super::SinkHealth::SpoolFailed), and [`last_error`](super::SinkReport::last_error) has the cause and the
//!   number of events in memory, such as `spool directory /var/lib/app is not writable (no space left on device); 242 events
//!   are held in memory only`. A report checks the directory, so a problem shows before the next event.
//! - Each event, each report, and a sink whose destination is unavailable try again. In the mode `Always`, events in memory
//!   then move to the spool. A full disk is usable again once it has room for the longest event that was refused.
//! - A file that cannot be read is reported too, until it is read, or until no event in it is waiting.
//!
//! A directory that was removed or renamed is created again, and a warning is logged. The delivery thread copies the
//! undelivered events of the file that is written to. Until it has done so, requests keep their events in memory. If memory is
//! full, a request copies them itself, so that no event is dropped. Events that arrive meanwhile can be delivered before them.
//! Undelivered events in older files are lost. They are dropped as `SpoolFailed` when they are due. If another process has
//! used the new directory meanwhile, it must deliver its events before this one can use the directory.
//!
//! # Limits
//!
//! When the files reach [`max_bytes`](SpoolBuilder::max_bytes), events stay in memory. When memory is full as well, they are
//! dropped as [`SpoolFull`](super::DropReason::SpoolFull).
//!
//! Each thread that writes to a spool keeps one encoding buffer of at most 64 KiB in a thread-local. The buffer holds no
//! configuration and no events between writes.
//!
//! # Alternatives
//!
//! The spool needs an append that survives `kill -9` without an `fsync`, a size limit, per-record recovery from damage, and
//! cheap deletion from the front. These crates were considered:
//!
//! - [`okaywal`](https://docs.rs/okaywal) flushes on every commit, has no size limit, and declares its file format
//!   unstable; its latest release is from 2023.
//! - [`yaque`](https://docs.rs/yaque) is asynchronous, checks only the header of a record, and
//!   [panics](https://github.com/tokahuke/yaque/blob/master/src/header.rs) if a header is damaged.
//! - [`queue-file`](https://docs.rs/queue-file) keeps everything in a single file without checksums, so damage is not
//!   detected.
//! - [`commitlog`](https://docs.rs/commitlog) stores no reader position, so consumers have to persist their own.
//! - [`redb`](https://docs.rs/redb) persists nothing until a commit with `Durability::Immediate`, which calls `fsync`, so
//!   that surviving `kill -9` would cost a flush per event.
//! - [`fjall`](https://docs.rs/fjall) meets the durability needs, but is an LSM tree in which every delivered event leaves
//!   a tombstone for compaction, in exchange for random access that a queue does not use.
//! - [SQLite in WAL mode](https://www.sqlite.org/wal.html) meets the durability needs too, but makes the spool depend on a
//!   C library, writes every event twice (to the log and to the database), and can lose more than one event to a damaged
//!   page.

mod checkpoint;
mod cursor;
mod fsync;
mod log;
mod position;
mod record;
mod recovery;
mod segment;
mod segment_reader;
mod segments;
mod spool;
mod spool_builder;
mod spool_directory;
mod spool_error;
mod spool_health;
mod spool_mode;
mod syncer;

pub use self::{
    fsync::Fsync, spool::Spool, spool_builder::SpoolBuilder, spool_error::SpoolError, spool_mode::SpoolMode,
};
