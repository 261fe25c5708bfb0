//! Questions about requests, as values.

mod bucket;
mod measure;
mod order;
mod query_value;
mod row_query;
mod time_range;

pub use self::{
    bucket::Bucket, measure::Measure, order::Order, query_value::Query, row_query::RowQuery, time_range::TimeRange,
};
