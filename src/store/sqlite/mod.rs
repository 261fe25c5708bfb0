mod database_file;
mod dialect;
mod feedback;
mod functions;
mod keys;
mod rollups;
mod rows;
mod schema;
mod sqlite_session;
mod sqlite_store;
mod sqlite_writer;

pub use self::{sqlite_store::SqliteStore, sqlite_writer::SqliteWriter};
