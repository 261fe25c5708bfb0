//! A ledger in tables of Postgres.

mod columns;
mod driver;
mod postgres_ledger;
mod schema;

pub use self::postgres_ledger::PostgresLedger;
