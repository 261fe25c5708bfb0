use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    fsync::Fsync,
    log::{Log, LogConfig},
    spool::Spool,
    spool_error::SpoolError,
    spool_mode::SpoolMode,
};

/// Minimum size of a spool and of a segment, in bytes.
const MIN_BYTES: u64 = 64 * 1024;

/// Builds a [`Spool`].
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Clone, Debug)]
pub struct SpoolBuilder {
    directory: PathBuf,
    mode: SpoolMode,
    fsync: Fsync,
    max_bytes: u64,
    segment_bytes: u64,
}

impl Spool {
    /// Opens a directory with the default settings of [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// Returns an error in the same cases as [`SpoolBuilder::open`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, SpoolError> {
        Self::builder(directory).open()
    }

    /// Creates a builder for a spool in a directory.
    ///
    /// By default, events are written [on overflow](SpoolMode::OnOverflow), files are flushed once per second, and the
    /// spool is limited to 1 GiB.
    pub fn builder(directory: impl AsRef<Path>) -> SpoolBuilder {
        SpoolBuilder {
            directory: directory.as_ref().to_owned(),
            mode: SpoolMode::OnOverflow,
            fsync: Fsync::Interval(Duration::from_secs(1)),
            max_bytes: 1 << 30,
            segment_bytes: 16 << 20,
        }
    }
}

impl SpoolBuilder {
    /// Sets when events are written.
    pub fn mode(mut self, mode: SpoolMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets when files are flushed to the disk.
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// Sets the maximum total size of the files, in bytes.
    ///
    /// The minimum is 64 KiB. An event takes about 1 KiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the size at which a new file is started, in bytes.
    ///
    /// Values below 64 KiB count as 64 KiB. Disk space is released one file at a time.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.max(MIN_BYTES);
        self
    }

    /// Opens the spool, creating its directory if necessary.
    ///
    /// Reads everything that an earlier process left in the directory. That takes about one second per gigabyte.
    ///
    /// # Errors
    ///
    /// Returns an error if:
    ///
    /// - the directory or a file in it cannot be created, read, or written
    /// - [`max_bytes`](Self::max_bytes) is less than 64 KiB
    /// - another process has the spool open ([`ResourceBusy`](io::ErrorKind::ResourceBusy))
    pub fn open(self) -> Result<Spool, SpoolError> {
        if self.max_bytes < MIN_BYTES {
            let reason = format!("expected max_bytes of at least {MIN_BYTES}, found {}", self.max_bytes);
            let cause = io::Error::new(io::ErrorKind::InvalidInput, reason);
            return Err(SpoolError::new("open spool", &self.directory, cause));
        }
        let log = Log::open(LogConfig {
            directory: self.directory,
            mode: self.mode,
            fsync: self.fsync,
            max_bytes: self.max_bytes,
            segment_bytes: self.segment_bytes,
        })?;
        Ok(Spool::new(log))
    }
}
