//! A spool: events on disk, where they outlast a destination that is away and a process that is killed.
//!
//! A [`Queued`](super::Queued) holds its events in memory: there is no room for many, and they are gone with the process.
//! With a [`Spool`] it has a folder too, to which events are appended and from which they are delivered in their order.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use tower_tagging::{EventLayer, event::Event, sink::{BatchWriter, Fsync, Queued, Spool, SpoolMode, WriteError}};
//!
//! struct Billing;
//!
//! impl BatchWriter for Billing {
//!     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
//!         // Send them. A server that is away is `WriteError::retryable`.
//!         Ok(())
//!     }
//! }
//!
//! # let folder = std::env::temp_dir().join(format!("spool-{}", std::process::id()));
//! let spool = Spool::builder(&folder)
//!     .mode(SpoolMode::Always)
//!     .fsync(Fsync::Interval(Duration::from_secs(1)))
//!     .max_bytes(4 << 30)
//!     .open()?;
//! let layer = EventLayer::new(Queued::builder("billing", Billing).spool(spool).build());
//! // … serve requests through the layer, then:
//! let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
//! assert!(report.is_complete(), "{report}");
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What is written when
//!
//! | mode | an event goes to the disk | a request pays | `kill -9` costs |
//! |---|---|---|---|
//! | [`OnOverflow`](SpoolMode::OnOverflow) | when memory is full, or while the destination is away | nothing, but for those that find memory full: some 10 µs for each of up to 32 events | what was in memory |
//! | [`Always`](SpoolMode::Always) | before the client gets the end of the response | the writing of a line into the system's memory, some 10 µs | nothing: the next process delivers it |
//!
//! Delivery is *at least once*: a process that is killed between the writing of a batch and the note that it was written
//! leaves events to be written again. The [id](crate::Event::id) tells them; the stores of this crate ignore a second one.
//!
//! # What is on the disk when the power fails
//!
//! A killed process takes nothing with it that was written, whatever the policy. Of what a machine loses that stops at once
//! the policy decides:
//!
//! | policy | lost at most |
//! |---|---|
//! | [`Fsync::Always`] | what was written since the last flush began; the next one begins at once when it has ended. No request waits for it |
//! | [`Fsync::Interval`] | what was written within the interval, and while the last flush took place |
//! | [`Fsync::Never`] | what the system had not written back by itself, on Linux up to half a minute of events |
//!
//! # The files
//!
//! A folder belongs to one process at a time. It holds files of records: a mark, the length, the CRC-32 and the JSON of an
//! event. A record that was torn when the process died, or damaged, is skipped and [counted](super::SpoolReport::damaged),
//! and the next one is found by its mark. A file is deleted once all its events were delivered. When the files reach
//! [`max_bytes`](SpoolBuilder::max_bytes), or the disk takes no more, events stay in memory while there is room there, and
//! are then dropped as [`SpoolFull`](super::DropReason::SpoolFull) or [`SpoolFailed`](super::DropReason::SpoolFailed).
//!
//! Crates that were weighed: `okaywal` (flushes at every commit, has no bound in bytes, no release since 2023), `yaque`
//! (asynchronous, no checksums), `queue-file` (one file, no checksums), `commitlog` (no position of a reader).

mod log;
mod record;
mod sync;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use self::log::Log;
use super::{QueuedBuilder, queued::backlog::Backlog};

/// When events are written to a [`Spool`]; see the [module](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoolMode {
    /// When memory is full, or while the destination is away.
    #[default]
    OnOverflow,
    /// Every event, before the client gets the end of the response.
    Always,
}

/// When a [`Spool`] is flushed to the disk, for the case that the machine stops at once; see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// After every event; while a flush takes place, the next events wait for the one that follows.
    Always,
    /// So long after the first event that was not flushed.
    Interval(Duration),
    /// When the operating system sees fit.
    Never,
}

/// A folder in which events wait for their delivery; see the [module](self).
#[derive(Debug)]
pub struct Spool {
    log: Arc<Log>,
}

impl Spool {
    /// Opens a folder with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    /// Those of [`SpoolBuilder::open`].
    pub fn open(folder: impl AsRef<Path>) -> io::Result<Self> {
        Self::builder(folder).open()
    }

    /// By default events are written [on overflow](SpoolMode::OnOverflow), flushed once a second, and take 1 GiB at most.
    pub fn builder(folder: impl AsRef<Path>) -> SpoolBuilder {
        SpoolBuilder {
            folder: folder.as_ref().to_owned(),
            mode: SpoolMode::OnOverflow,
            fsync: Fsync::Interval(Duration::from_secs(1)),
            max_bytes: 1 << 30,
            segment_bytes: 16 << 20,
        }
    }
}

/// Fewest bytes of a spool.
const MIN_BYTES: u64 = 64 * 1024;

/// Opens a [`Spool`].
#[must_use]
#[derive(Clone, Debug)]
pub struct SpoolBuilder {
    folder: PathBuf,
    mode: SpoolMode,
    fsync: Fsync,
    max_bytes: u64,
    segment_bytes: u64,
}

impl SpoolBuilder {
    /// When events are written.
    pub fn mode(mut self, mode: SpoolMode) -> Self {
        self.mode = mode;
        self
    }

    /// When they are flushed.
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// Most bytes that the files take, 64 KiB at least. An event takes about 1 KiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bytes after which a new file is begun; 64 KiB at least. A file is deleted as a whole.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.max(64 * 1024);
        self
    }

    /// Opens the folder, which is created when it is not there, and reads what an earlier process left in it: about a second
    /// for a gigabyte.
    ///
    /// # Errors
    /// When the folder can't be created, read or written, the spool is to have less than 64 KiB, or another process has it open
    /// ([`ResourceBusy`](io::ErrorKind::ResourceBusy)).
    pub fn open(self) -> io::Result<Spool> {
        if self.max_bytes < MIN_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a spool has 64 KiB at least"));
        }
        let folder = self.folder.display().to_string();
        let log = Log::open(self.folder, self.mode, self.fsync, self.max_bytes, self.segment_bytes);
        let log = log.map_err(|problem| io::Error::new(problem.kind(), format!("{folder}: {problem}")))?;
        Ok(Spool { log: Arc::new(log) })
    }
}

impl<W> QueuedBuilder<W> {
    /// Keeps events on disk that find no room in memory, or all of them; see the [spool](self) module.
    pub fn spool(self, spool: Spool) -> Self {
        self.with_backlog(spool.log as Arc<dyn Backlog>)
    }
}

impl fmt::Display for SpoolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnOverflow => "on overflow",
            Self::Always => "always",
        })
    }
}
