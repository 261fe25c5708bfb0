use std::{fmt, sync::Arc};

use crate::event::{Clock, SystemClock};

use super::{LedgerStatus, backend::Backend, memory::MemoryLedger};

/// The place where limits are counted. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    backend: Arc<dyn Backend>,
}

impl Ledger {
    /// Creates a ledger in memory, for a service with one process. Its counts end with the process, unless they are rebuilt from
    /// a store.
    pub fn memory() -> Self {
        Self::memory_with_clock(SystemClock)
    }

    /// Creates a ledger in memory with a clock, for tests.
    pub fn memory_with_clock(clock: impl Clock) -> Self {
        Self { backend: Arc::new(MemoryLedger::new(Arc::new(clock))) }
    }

    /// Returns the state of the ledger.
    pub fn status(&self) -> LedgerStatus {
        self.backend.status()
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledger").field(&self.status()).finish()
    }
}
