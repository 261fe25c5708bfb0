use std::{error::Error, fmt, sync::Arc};

/// The error of a [`Ledger`](super::Ledger) that cannot be reached, or does not answer in time.
#[derive(Clone, Debug)]
pub struct LedgerError {
    ledger: &'static str,
    cause: Arc<dyn Error + Send + Sync>,
}

impl LedgerError {
    #[cfg_attr(
        not(any(feature = "postgres", feature = "redis")),
        allow(dead_code, reason = "the memory ledger does not fail")
    )]
    pub(crate) fn new(ledger: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { ledger, cause: Arc::from(cause.into()) }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger in {} is not available: {}", self.ledger, self.cause)
    }
}

impl Error for LedgerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}
