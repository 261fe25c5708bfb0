use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::time::after;

use super::Fsync;

/// Flushes the log to the disk, on a thread of its own.
#[derive(Debug)]
pub(super) struct Syncer {
    /// `None` when nothing is flushed.
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    folder: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    is_dirty: bool,
    is_over: bool,
    /// Files that were opened and not flushed since; the last one is written to.
    files: Vec<Arc<File>>,
    is_new_file: bool,
}

impl Syncer {
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start(fsync: Fsync, folder: &Path) -> io::Result<Self> {
        let interval = match fsync {
            Fsync::Never => return Ok(Self { shared: None }),
            Fsync::Always => Duration::ZERO,
            Fsync::Interval(interval) => interval,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            folder: folder.to_owned(),
        });
        let for_thread = Arc::clone(&shared);
        thread::Builder::new().name("tagging spool".to_owned()).spawn(move || for_thread.run(interval))?;
        Ok(Self { shared: Some(shared) })
    }

    pub(super) fn opened(&self, file: Arc<File>) {
        if let Some(shared) = &self.shared {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.files.push(file);
            state.is_new_file = true;
        }
    }

    pub(super) fn wrote(&self) {
        if let Some(shared) = &self.shared {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::replace(&mut state.is_dirty, true) {
                shared.changed.notify_one();
            }
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.state.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
            shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn run(&self, interval: Duration) {
        loop {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            while !state.is_dirty && !state.is_over {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let due = after(Instant::now(), interval);
            loop {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() || state.is_over {
                    break;
                }
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            if !state.is_dirty {
                return;
            }
            state.is_dirty = false;
            let is_new_file = std::mem::take(&mut state.is_new_file);
            let files = state.files.clone();
            // The last one is still written to.
            let done = state.files.len().saturating_sub(1);
            state.files.drain(..done);
            drop(state);
            // All of them, whatever becomes of one.
            let mut result = if is_new_file { self.sync_folder() } else { Ok(()) };
            for file in &files {
                result = result.and(file.sync_data());
            }
            if let Err(problem) = result {
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    tracing::warn!(
                        target: "tower_tagging::delivery",
                        folder = %self.folder.display(),
                        %problem,
                        "the spool could not be flushed to the disk"
                    );
                }));
            }
        }
    }

    /// So that the name of a new file outlasts a loss of power.
    fn sync_folder(&self) -> io::Result<()> {
        #[cfg(unix)]
        return File::open(&self.folder)?.sync_all();
        #[cfg(not(unix))]
        Ok(())
    }
}
