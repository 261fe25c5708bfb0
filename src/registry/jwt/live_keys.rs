use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, Guard};

use crate::sync::lock;

use super::{jwks_status::JwksStatus, key_set::KeySet};

/// The current keys, which requests read and a background thread replaces.
#[derive(Debug, Default)]
pub(super) struct LiveKeys {
    current: ArcSwap<KeySet>,
    status: Mutex<JwksStatus>,
    /// Notified after each attempt to read the keys.
    attempted: Condvar,
    /// A token named an unknown key since the last attempt.
    pub(super) is_wanted: AtomicBool,
    /// The keys are to be read now.
    pub(super) is_forced: AtomicBool,
    pub(super) is_stopped: AtomicBool,
}

impl LiveKeys {
    /// Returns the current keys, without a lock.
    pub(super) fn current(&self) -> Guard<Arc<KeySet>> {
        self.current.load()
    }

    /// Installs new keys, or keeps the last ones and records why.
    pub(super) fn install(&self, keys: Result<KeySet, String>) {
        let mut status = lock(&self.status);
        status.attempts += 1;
        match keys {
            Ok(keys) => {
                status.keys = keys.len();
                status.updated_at = Some(SystemTime::now());
                if status.last_error.take().is_some() {
                    tracing::info!(target: "tower_tagging::registry", keys = status.keys, "key set is readable again");
                }
                self.current.store(Arc::new(keys));
            }
            Err(error) => {
                if status.last_error.as_ref() != Some(&error) {
                    tracing::warn!(
                        target: "tower_tagging::registry", %error, keys = status.keys,
                        "cannot read the key set, the last keys stay in force"
                    );
                }
                status.last_error = Some(error);
            }
        }
        drop(status);
        self.attempted.notify_all();
    }

    pub(super) fn status(&self) -> JwksStatus {
        lock(&self.status).clone()
    }

    /// Waits until there are keys. Returns `false` if the time is over.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let status = lock(&self.status);
        let waited = self.attempted.wait_timeout_while(status, timeout, |status| status.keys == 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.keys > 0
    }

    /// Records that a token named an unknown key. Returns `true` if it is the first since the last attempt.
    pub(super) fn want(&self) -> bool {
        !self.is_wanted.load(Ordering::Relaxed) && !self.is_wanted.swap(true, Ordering::Relaxed)
    }
}
