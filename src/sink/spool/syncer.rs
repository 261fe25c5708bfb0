use std::{
    fs::File,
    io, mem,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{sync::lock, time::after};

use super::{fsync::Fsync, spool_error::SpoolError};

/// Flushes the log to the disk on a dedicated thread.
#[derive(Debug)]
pub(super) struct Syncer {
    /// `None` if flushing is left to the operating system.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    directory: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    /// Something was written since the latest flush began.
    is_dirty: bool,
    is_closed: bool,
    /// Files that were opened since the latest flush, after the file that is still written to.
    files: Vec<Arc<File>>,
    /// A file was created, so the directory has to be flushed too.
    has_new_file: bool,
}

impl Syncer {
    pub(super) fn start(fsync: Fsync, directory: &Path) -> Result<Self, SpoolError> {
        let interval = match fsync {
            Fsync::Never => return Ok(Self { shared: None }),
            Fsync::Always => Duration::ZERO,
            Fsync::Interval(interval) => interval,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            directory: directory.to_owned(),
        });
        let for_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("tagging spool".to_owned())
            .spawn(move || for_thread.run(interval))
            .map_err(SpoolError::context("start the flush thread of spool", directory))?;
        Ok(Self { shared: Some(shared) })
    }

    /// Registers a file that was just created.
    pub(super) fn opened(&self, file: Arc<File>) {
        if let Some(shared) = &self.shared {
            let mut state = lock(&shared.state);
            state.files.push(file);
            state.has_new_file = true;
        }
    }

    /// Schedules a flush after a write to the file that was registered last.
    pub(super) fn wrote(&self) {
        if let Some(shared) = &self.shared
            && !mem::replace(&mut lock(&shared.state).is_dirty, true)
        {
            shared.changed.notify_one();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            lock(&shared.state).is_closed = true;
            shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn run(&self, interval: Duration) {
        while let Some((files, has_new_file)) = self.wait(interval) {
            self.flush(&files, has_new_file);
        }
    }

    /// Waits until a flush is due and returns the files to flush, or `None` when the log is closed and flushed.
    fn wait(&self, interval: Duration) -> Option<(Vec<Arc<File>>, bool)> {
        let mut state = lock(&self.state);
        while !state.is_dirty && !state.is_closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let due = after(Instant::now(), interval);
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || state.is_closed {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if !mem::take(&mut state.is_dirty) {
            return None;
        }
        let files = state.files.clone();
        // The last file is still written to, so later flushes include it again.
        let finished = state.files.len().saturating_sub(1);
        state.files.drain(..finished);
        Some((files, mem::take(&mut state.has_new_file)))
    }

    /// Flushes the directory and every file, even if one of them fails. Reports the first failure.
    fn flush(&self, files: &[Arc<File>], has_new_file: bool) {
        let mut result = if has_new_file { self.sync_directory() } else { Ok(()) };
        for file in files {
            result = result.and(file.sync_data());
        }
        if let Err(error) = result {
            tracing::warn!(
                target: "tower_tagging::delivery",
                directory = %self.directory.display(),
                %error,
                "spool flush failed, events may be lost if the machine stops"
            );
        }
    }

    /// Flushes the directory so that the name of a new file survives a power failure.
    fn sync_directory(&self) -> io::Result<()> {
        #[cfg(unix)]
        return File::open(&self.directory)?.sync_all();
        #[cfg(not(unix))]
        Ok(())
    }
}
