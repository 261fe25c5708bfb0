//! Stores.

mod error;
mod keys;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
mod sketch;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresWriter};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteStore, SqliteWriter};
pub use self::{error::StoreError, keys::KeyInfo};
