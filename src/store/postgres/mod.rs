mod connection;
mod copy;
mod dialect;
mod failure;
mod feedback;
mod keys;
mod locks;
mod partitions;
mod postgres_session;
mod postgres_store;
mod postgres_writer;
mod rollups;
mod rows;
mod schema;
mod server;
mod sessions;

#[cfg(feature = "registry")]
pub(crate) use self::{
    failure::Failure,
    server::{Server, Session},
};
pub use self::{postgres_store::PostgresStore, postgres_writer::PostgresWriter};
