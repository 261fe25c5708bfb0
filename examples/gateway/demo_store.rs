//! The store of the demo: a temporary SQLite file, and the thread that fills it with synthetic requests.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use tower_tagging::{
    analytics::{Analytics, Retention, TimeRange, jiff::Timestamp},
    limit::{Limiter, check::LedgerChecker},
    sink::{BatchWriter, WriteErrorKind},
    store::SqliteStore,
    usage::CatalogPrices,
};
use uuid::Uuid;

use crate::demo_history;

/// The names of the folders of demos begin with this.
const PREFIX: &str = "tower-tagging-demo-";
/// The file in the folder that is locked while the demo runs.
const LOCK: &str = "lock";
/// Folders that are younger may belong to a demo that is just starting.
const MIN_AGE: Duration = Duration::from_secs(60);
/// The time whose sums are verified.
const VERIFIED: Duration = Duration::from_secs(7 * 86_400);
/// The number of requests that are written in a transaction, so that requests of the demo itself never wait for long.
const BATCH: usize = 500;

/// A temporary store. It is removed when this is dropped.
pub(crate) struct DemoStore {
    pub(crate) store: SqliteStore,
    pub(crate) has_history: bool,
    folder: PathBuf,
    /// Open until the end, so that the lock is held.
    _lock: File,
}

impl DemoStore {
    /// Creates a file that only this user can read. Removes those of demos that were killed.
    pub(crate) fn create(has_history: bool) -> Result<Self, String> {
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        let folder = parent.join(format!("{PREFIX}{}", Uuid::new_v4().simple()));
        let failed = |error: &dyn std::fmt::Display| format!("STORE: temporary folder {}: {error}", folder.display());
        create_private(&folder).map_err(|error| failed(&error))?;
        let opened = lock(&folder).map_err(|error| failed(&error)).and_then(|lock| {
            let store = SqliteStore::open(folder.join("events.db")).map_err(|error| failed(&error))?;
            store.migrate().map_err(|error| failed(&error))?;
            Ok((lock, store))
        });
        match opened {
            Ok((lock, store)) => Ok(Self { store, has_history, folder, _lock: lock }),
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    /// Starts to write the history, if there is one. The writer stops when it is dropped.
    pub(crate) fn fill(&self, limiter: Option<Limiter>) -> Option<Filling> {
        self.has_history.then(|| Filling::start(self.store.clone(), limiter))
    }
}

impl Drop for DemoStore {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("gateway: cannot remove {}: {error}", self.folder.display());
        }
    }
}

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn lock(folder: &Path) -> io::Result<File> {
    let file = File::create(folder.join(LOCK))?;
    file.try_lock().map_err(io::Error::from)?;
    Ok(file)
}

/// Removes the folders of demos that ended without removing theirs. A running demo holds its lock.
fn remove_abandoned(parent: &Path) {
    for folder in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_demo = folder.file_name().to_string_lossy().starts_with(PREFIX);
        // Of a symbolic link, this is the type of the link.
        let is_folder = folder.file_type().is_ok_and(|kind| kind.is_dir());
        let created = folder.path().join(LOCK).metadata().and_then(|metadata| metadata.modified());
        let is_old = created.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > MIN_AGE));
        if is_demo && is_folder && is_old {
            let lock = File::open(folder.path().join(LOCK));
            if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
                let _ = fs::remove_dir_all(folder.path());
            }
        }
    }
}

/// The thread that writes the history.
pub(crate) struct Filling {
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Filling {
    fn start(store: SqliteStore, limiter: Option<Limiter>) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        let thread = thread::Builder::new().name("demo-history".into()).spawn(move || fill(&store, limiter, &stop));
        if let Err(error) = &thread {
            eprintln!("gateway: no history: {error}");
        }
        Self { is_stopped, thread: thread.ok() }
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes the history, the oldest requests first.
fn fill(store: &SqliteStore, limiter: Option<Limiter>, is_stopped: &AtomicBool) {
    let prices = CatalogPrices::bundled();
    let requests = demo_history::requests(SystemTime::now());
    let mut writer = store.writer();
    for batch in requests.chunks(BATCH) {
        let events: Vec<_> = batch.iter().map(|request| Arc::new(request.event(&prices))).collect();
        loop {
            if is_stopped.load(Ordering::Relaxed) {
                return;
            }
            match writer.write(&events) {
                Ok(()) => break,
                // The sink of the demo is writing. Events that are written twice are ignored.
                Err(error) if error.kind() == WriteErrorKind::Retryable => thread::sleep(Duration::from_millis(50)),
                Err(error) => return eprintln!("gateway: the history is incomplete: {error}"),
            }
        }
    }
    if let Err(error) = fold(store, limiter) {
        eprintln!("gateway: answers about the history are slow: {error}");
    }
    eprintln!("gateway: the demo has {} synthetic requests of the last 30 days", requests.len());
}

/// Folds the sums of the past days, as the gateway does every ten minutes, and verifies those of the last week. Limits get what
/// the requests have used.
fn fold(store: &SqliteStore, limiter: Option<Limiter>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (analytics, now) = (Analytics::new(store.clone()), SystemTime::now());
    let folded = runtime.block_on(async {
        analytics.maintain(now, Retention::forever()).await?;
        let to = Timestamp::try_from(now).unwrap_or_default();
        let from = to.saturating_sub(VERIFIED).unwrap_or_default();
        if let Some(limiter) = limiter
            && let Err(error) = LedgerChecker::new(limiter, analytics.clone()).restore().await
        {
            eprintln!("gateway: limits do not count the history: {error}");
        }
        analytics.verify(&TimeRange::new(from, to)?).await
    });
    folded.map(drop).map_err(|error| error.to_string())
}
