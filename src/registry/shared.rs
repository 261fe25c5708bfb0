//! The state that all handles of a registry share.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

use crate::{ConfigError, sync::lock};

use super::{registry_status::RegistryStatus, snapshot::Snapshot, source::Source};

/// The state that all handles of a registry share.
#[derive(Debug)]
pub(crate) struct Shared {
    current: ArcSwap<Snapshot>,
    pub(crate) source: Source,
    /// Held while a source is read, so that an older state never replaces a newer one.
    updating: Mutex<()>,
    history: Mutex<History>,
    /// Background work ends when these are dropped.
    guards: Mutex<Vec<Box<dyn Any + Send>>>,
    /// What else a file must meet before it is loaded again.
    checks: Mutex<Vec<FileCheck>>,
}

type Check = dyn Fn(&Path) -> Result<(), ConfigError> + Send + Sync;

/// A condition that a file must meet.
#[derive(Clone)]
struct FileCheck(Arc<Check>);

impl fmt::Debug for FileCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCheck").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct History {
    loaded_at: SystemTime,
    /// The time at which the source was last found to be as the state is.
    confirmed_at: SystemTime,
    last_error: Option<String>,
    /// The last error that was logged.
    logged: Option<String>,
    reloads: u64,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot, source: Source) -> Arc<Self> {
        let now = SystemTime::now();
        let history = History { loaded_at: now, confirmed_at: now, last_error: None, logged: None, reloads: 0 };
        Arc::new(Self {
            current: ArcSwap::from_pointee(snapshot),
            source,
            updating: Mutex::default(),
            history: Mutex::new(history),
            guards: Mutex::default(),
            checks: Mutex::default(),
        })
    }

    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Replaces the state. After an error, the old state stays in force, and the error is in the status.
    pub(crate) fn update(
        &self,
        load: impl FnOnce(&Snapshot) -> Result<Snapshot, ConfigError>,
    ) -> Result<(), ConfigError> {
        let _turn = lock(&self.updating);
        match load(&self.current.load()) {
            Ok(snapshot) => {
                let (keys, workspaces) = (snapshot.keys.len(), snapshot.workspaces.len());
                let source = self.source.name();
                tracing::info!(target: "tower_tagging::registry", source, keys, workspaces, "the registry is reloaded");
                self.current.store(Arc::new(snapshot));
                let mut history = lock(&self.history);
                history.loaded_at = SystemTime::now();
                history.reloads += 1;
                history.confirm();
                Ok(())
            }
            Err(error) => {
                self.fail(&error.to_string());
                Err(error)
            }
        }
    }

    /// Records that the source is unchanged.
    pub(crate) fn confirm(&self) {
        lock(&self.history).confirm();
    }

    /// Records that the source cannot be read. Each distinct error is logged once.
    pub(crate) fn fail(&self, error: &str) {
        let mut history = lock(&self.history);
        history.last_error = Some(error.to_owned());
        if history.logged.as_deref() != Some(error) {
            history.logged = Some(error.to_owned());
            drop(history);
            let source = self.source.name();
            tracing::warn!(
                target: "tower_tagging::registry", source, error,
                "the registry is not reloaded, its previous state stays in force"
            );
        }
    }

    /// Adds a condition that a file must meet before it is loaded again.
    pub(crate) fn add_check(&self, check: impl Fn(&Path) -> Result<(), ConfigError> + Send + Sync + 'static) {
        lock(&self.checks).push(FileCheck(Arc::new(check)));
    }

    /// Returns the first reason not to load a file again, which then is in the status.
    pub(crate) fn check_file(&self, path: &Path) -> Result<(), ConfigError> {
        // User code runs without a lock.
        let checks = lock(&self.checks).clone();
        let panicked = |_| Err(ConfigError::new("the check of the file panicked"));
        let run = |check: &FileCheck| catch_unwind(AssertUnwindSafe(|| (check.0)(path))).unwrap_or_else(panicked);
        let result = checks.iter().try_for_each(run);
        if let Err(error) = &result {
            self.fail(&error.to_string());
        }
        result
    }

    /// Keeps a value until the last handle is dropped.
    pub(crate) fn keep(&self, guard: Box<dyn Any + Send>) {
        lock(&self.guards).push(guard);
    }

    pub(crate) fn status(&self, now: SystemTime) -> RegistryStatus {
        let snapshot = self.current.load();
        let history = lock(&self.history);
        let age = now.duration_since(history.confirmed_at).unwrap_or_default();
        RegistryStatus {
            source: self.source.name(),
            loaded_at: history.loaded_at,
            age: if matches!(self.source, Source::Code) { Duration::ZERO } else { age },
            last_error: history.last_error.clone(),
            keys: snapshot.keys.len(),
            workspaces: snapshot.workspaces.len(),
            virtual_keys: snapshot.virtual_keys.len(),
            reloads: history.reloads,
        }
    }
}

impl History {
    fn confirm(&mut self) {
        self.confirmed_at = SystemTime::now();
        self.last_error = None;
        self.logged = None;
    }
}
