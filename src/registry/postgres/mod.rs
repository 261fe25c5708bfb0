//! A registry in Postgres tables.

mod postgres_registry;
mod refresher;
mod schema;
mod tables;

pub use self::postgres_registry::PostgresRegistry;
