use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::{sink::file_identity::is_at, sync::lock, time::millis};

use super::spool_error::SpoolError;

/// The interval at which requests check that the directory is still there.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The directory of a log, locked against other processes for as long as the log is open.
#[derive(Debug)]
pub(super) struct SpoolDirectory {
    path: PathBuf,
    lock: Mutex<File>,
    opened: Instant,
    /// The time of the next check, in milliseconds since `opened`.
    check_due: AtomicU64,
}

impl SpoolDirectory {
    /// Opens and locks a directory, which is created if necessary.
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        let path = std::path::absolute(path).map_err(SpoolError::context("find directory", path))?;
        let lock = Mutex::new(create_and_lock(&path)?);
        Ok(Self { path, lock, opened: Instant::now(), check_due: AtomicU64::new(0) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns `true` if it is time for a check, once per interval.
    pub(super) fn is_check_due(&self) -> bool {
        let now = millis(self.opened.elapsed());
        let due = self.check_due.load(SeqCst);
        now >= due && self.check_due.compare_exchange(due, now + millis(CHECK_INTERVAL), SeqCst, SeqCst).is_ok()
    }

    /// Returns `false` if the directory was removed, renamed, or replaced.
    pub(super) fn is_present(&self) -> bool {
        is_at(&lock(&self.lock), &lock_path(&self.path))
    }

    /// Creates the directory again and locks it. The lock is kept by [`adopt`](Self::adopt).
    pub(super) fn create(&self) -> Result<File, SpoolError> {
        create_and_lock(&self.path)
    }

    /// Keeps the lock of a directory that was created again.
    pub(super) fn adopt(&self, locked: File) {
        *lock(&self.lock) = locked;
    }
}

fn lock_path(directory: &Path) -> PathBuf {
    directory.join("lock")
}

fn create_and_lock(directory: &Path) -> Result<File, SpoolError> {
    fs::create_dir_all(directory).map_err(SpoolError::context("create directory", directory))?;
    let path = lock_path(directory);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(SpoolError::context("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(SpoolError::new("lock", &path, error)),
        Err(TryLockError::WouldBlock) => {
            let reason = "the spool is already open, use a separate directory for each sink and process";
            Err(SpoolError::new("lock", &path, io::Error::new(io::ErrorKind::ResourceBusy, reason)))
        }
    }
}
