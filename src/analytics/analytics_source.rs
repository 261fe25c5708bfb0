use crate::store::MemoryStore;
#[cfg(feature = "postgres")]
use crate::store::PostgresStore;
#[cfg(feature = "sqlite")]
use crate::store::SqliteStore;

/// A store that [`Analytics`](super::Analytics) reads.
///
/// Create it from a store: `Analytics::new(store)` does so.
#[derive(Clone, Debug)]
pub struct AnalyticsSource(pub(super) Source);

#[derive(Clone, Debug)]
#[cfg_attr(feature = "postgres", allow(clippy::large_enum_variant, reason = "there is one per process"))]
pub(super) enum Source {
    Memory(MemoryStore),
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
}

impl From<MemoryStore> for AnalyticsSource {
    fn from(store: MemoryStore) -> Self {
        Self(Source::Memory(store))
    }
}

#[cfg(feature = "sqlite")]
impl From<SqliteStore> for AnalyticsSource {
    fn from(store: SqliteStore) -> Self {
        Self(Source::Sqlite(store))
    }
}

#[cfg(feature = "postgres")]
impl From<PostgresStore> for AnalyticsSource {
    fn from(store: PostgresStore) -> Self {
        Self(Source::Postgres(store))
    }
}
