use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use http::Uri;

use crate::time::after;

use super::{
    jwks_client::JwksClient,
    key_set::KeySet,
    key_source::{read_file, version},
    live_keys::LiveKeys,
};

/// The interval at which a file is checked for changes.
const FILE_INTERVAL: Duration = Duration::from_secs(2);

/// The background thread that keeps keys current. It ends when this value is dropped.
#[derive(Debug)]
pub(super) struct Refresher {
    keys: Arc<LiveKeys>,
    thread: Thread,
}

/// The times at which keys are read again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// The interval between successful attempts.
    pub(super) regular: Duration,
    /// The interval if the last attempt failed or an unknown key was named. It limits the load that forged tokens cause.
    pub(super) early: Duration,
}

impl Schedule {
    fn next(&self, last: Instant, is_early: bool) -> Instant {
        after(last, if is_early { self.early.min(self.regular) } else { self.regular })
    }
}

impl Refresher {
    pub(super) fn of_url(url: Uri, keys: Arc<LiveKeys>, schedule: Schedule) -> io::Result<Self> {
        let client = JwksClient::new(url)?;
        Self::start(keys, move |keys| {
            keys.install(client.fetch());
            run(keys, schedule, |_| Some(client.fetch()));
            client.close();
        })
    }

    /// The file has been read before.
    pub(super) fn of_file(path: PathBuf, keys: Arc<LiveKeys>) -> io::Result<Self> {
        let schedule = Schedule { regular: FILE_INTERVAL, early: FILE_INTERVAL };
        let mut last = version(&path);
        Self::start(keys, move |keys| {
            run(keys, schedule, |is_forced| {
                let current = version(&path);
                let is_changed = current != last;
                last = current;
                (is_changed || is_forced).then(|| read_file(&path))
            });
        })
    }

    fn start(keys: Arc<LiveKeys>, work: impl FnOnce(&LiveKeys) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::clone(&keys);
        let thread = thread::Builder::new().name("tagging-jwks".to_owned()).spawn(move || work(&shared))?;
        Ok(Self { keys, thread: thread.thread().clone() })
    }

    /// Reads the keys early, because a token named an unknown one.
    pub(super) fn want(&self) {
        if self.keys.want() {
            self.thread.unpark();
        }
    }

    /// Reads the keys now.
    pub(super) fn force(&self) {
        self.keys.is_forced.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.keys.is_stopped.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// Reads keys until the thread is stopped. `read` returns `None` if there is nothing to install.
fn run(keys: &LiveKeys, schedule: Schedule, mut read: impl FnMut(bool) -> Option<Result<KeySet, String>>) {
    let mut last = Instant::now();
    while !keys.is_stopped.load(Ordering::Relaxed) {
        let is_early = keys.is_wanted.load(Ordering::Relaxed) || keys.status().last_error.is_some();
        let wait = schedule.next(last, is_early).saturating_duration_since(Instant::now());
        let is_forced = keys.is_forced.swap(false, Ordering::Relaxed);
        if !is_forced && !wait.is_zero() {
            // Ends early when a flag is set. The flags are then checked again.
            thread::park_timeout(wait);
            continue;
        }
        keys.is_wanted.store(false, Ordering::Relaxed);
        if let Some(result) = read(is_forced) {
            keys.install(result);
        }
        last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Schedule;

    #[test]
    fn unknown_keys_and_errors_shorten_the_interval_to_its_minimum() {
        let schedule = Schedule { regular: Duration::from_secs(300), early: Duration::from_secs(30) };
        let last = Instant::now();
        assert_eq!(schedule.next(last, false), last + Duration::from_secs(300));
        assert_eq!(schedule.next(last, true), last + Duration::from_secs(30));
        let often = Schedule { regular: Duration::from_secs(10), ..schedule };
        assert_eq!(often.next(last, true), last + Duration::from_secs(10));
    }
}
