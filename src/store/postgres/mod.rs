mod connection;
mod copy;
mod failure;
mod keys;
mod locks;
mod partitions;
mod postgres_store;
mod postgres_writer;
mod rows;
mod schema;
mod server;

#[cfg(feature = "registry")]
pub(crate) use self::{
    failure::Failure,
    server::{Server, Session},
};
pub use self::{postgres_store::PostgresStore, postgres_writer::PostgresWriter};
