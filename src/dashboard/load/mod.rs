//! Limits what all viewers together ask of the store.

mod load_counts;
mod query_load;
mod single_flight;
mod slots;

pub(crate) use self::query_load::{PageRecords, QueryLoad};
