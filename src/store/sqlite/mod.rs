mod database_file;
mod keys;
mod rows;
mod schema;
mod sqlite_store;
mod sqlite_writer;

pub use self::{sqlite_store::SqliteStore, sqlite_writer::SqliteWriter};
