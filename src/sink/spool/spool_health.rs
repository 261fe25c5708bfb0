use std::{
    io,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::{sink::queued::backlog::Problem, sync::lock};

/// The shortest time between two log lines about the same kind of problem.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// The problems of a log, and their end.
#[derive(Debug, Default)]
pub(super) struct SpoolHealth {
    writes: Trouble,
    reads: Trouble,
    recoveries: AtomicU64,
}

#[derive(Debug, Default)]
struct Trouble {
    is_present: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cause: Option<String>,
    logged: Option<Instant>,
    /// The problem was logged, so that its end is logged too.
    is_announced: bool,
}

impl SpoolHealth {
    pub(super) fn is_writable(&self) -> bool {
        !self.writes.is_present.load(SeqCst)
    }

    pub(super) fn recoveries(&self) -> u64 {
        self.recoveries.load(SeqCst)
    }

    /// Returns the current problem in words.
    pub(super) fn problem(&self, directory: &Path) -> Option<Problem> {
        let text = |verb: &str, cause: &str| format!("spool directory {} is not {verb} ({cause})", directory.display());
        let writes = self.writes.cause().map(|cause| Problem::NotWritable(text("writable", &cause)));
        writes.or_else(|| Some(Problem::NotReadable(text("readable", &self.reads.cause()?))))
    }

    pub(super) fn write_failed(&self, directory: &Path, error: &io::Error) {
        if self.writes.begin(cause(error)) {
            tracing::warn!(
                target: "tower_tagging::delivery",
                directory = %directory.display(),
                %error,
                "spool is not writable, events are held in memory only"
            );
        }
    }

    /// Records that the directory is gone, unless the cause of a problem with writing is known.
    pub(super) fn detached(&self, directory: &Path) {
        if self.is_writable() {
            self.write_failed(directory, &io::Error::other("the directory was removed or replaced"));
        }
    }

    pub(super) fn wrote(&self, directory: &Path) {
        if self.is_writable() {
            return;
        }
        let is_announced = self.writes.end();
        self.recoveries.fetch_add(1, SeqCst);
        if is_announced {
            let directory = directory.display();
            tracing::info!(target: "tower_tagging::delivery", %directory, "spool is writable again");
        }
    }

    pub(super) fn read_failed(&self, directory: &Path, error: &io::Error) {
        if self.reads.begin(cause(error)) {
            tracing::warn!(
                target: "tower_tagging::delivery",
                directory = %directory.display(),
                %error,
                "spool is not readable, its events are waiting"
            );
        }
    }

    pub(super) fn read(&self, directory: &Path) {
        if self.reads.is_present.load(SeqCst) && self.reads.end() {
            let directory = directory.display();
            tracing::info!(target: "tower_tagging::delivery", %directory, "spool is readable again");
        }
    }
}

impl Trouble {
    /// Records the cause. Returns `true` if the problem should be logged.
    fn begin(&self, cause: String) -> bool {
        let mut state = lock(&self.state);
        state.cause = Some(cause);
        self.is_present.store(true, SeqCst);
        // A problem that comes and goes is not logged each time, but one that stays is.
        if state.is_announced || state.logged.is_some_and(|logged| logged.elapsed() < LOG_PERIOD) {
            return false;
        }
        state.is_announced = true;
        state.logged = Some(Instant::now());
        true
    }

    /// Records the end of the problem. Returns `true` if its beginning was logged.
    fn end(&self) -> bool {
        let mut state = lock(&self.state);
        state.cause = None;
        self.is_present.store(false, SeqCst);
        std::mem::take(&mut state.is_announced)
    }

    fn cause(&self) -> Option<String> {
        if self.is_present.load(SeqCst) { lock(&self.state).cause.clone() } else { None }
    }
}

/// Returns the text of an error within a sentence: in lowercase, and without its number.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_problems_and_counts_recoveries() {
        let (health, directory) = (SpoolHealth::default(), Path::new("/spool"));
        assert!(health.problem(directory).is_none());
        health.wrote(directory);
        assert_eq!(health.recoveries(), 0, "nothing had failed");
        health.read_failed(directory, &io::Error::other("Odd"));
        let expected = "spool directory /spool is not readable (odd)";
        assert!(matches!(health.problem(directory), Some(Problem::NotReadable(text)) if text == expected));
        health.write_failed(directory, &io::Error::from_raw_os_error(28));
        health.write_failed(directory, &io::Error::from_raw_os_error(28));
        if cfg!(target_os = "linux") {
            let expected = "spool directory /spool is not writable (no space left on device)";
            assert!(matches!(health.problem(directory), Some(Problem::NotWritable(text)) if text == expected));
        }
        assert!(!health.is_writable());
        health.wrote(directory);
        health.wrote(directory);
        assert_eq!((health.recoveries(), health.is_writable()), (1, true));
        health.read(directory);
        assert!(health.problem(directory).is_none());
    }
}
