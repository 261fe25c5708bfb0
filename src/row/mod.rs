//! The flat form of an event: one row with a value for each column of one schema.
//!
//! Stores and exporters share this form, so it has its own module below both of them. The public path of its types is
//! `store`.

mod cell;
mod column;
mod column_kind;
mod cost_line_json;
mod dimension;
mod event_row;
mod field;
#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
#[cfg_attr(
    not(feature = "analytics"),
    allow(dead_code, unreachable_pub, reason = "without analytics, stores have no queries by conditions")
)]
mod filter;
mod from_event;
#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
mod limited_value;
mod number;
mod stored;
mod value;

#[cfg(all(not(feature = "analytics"), any(feature = "postgres", feature = "sqlite")))]
pub(crate) use self::filter::Filter;
#[cfg(feature = "analytics")]
pub use self::filter::Filter;
#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
pub(crate) use self::limited_value::limited_value;
pub(crate) use self::stored::stored_text;
#[cfg(feature = "postgres")]
pub(crate) use self::value::DecodeError;
pub(crate) use self::value::Value;
pub use self::{
    column::Column,
    column_kind::ColumnKind,
    dimension::Dimension,
    event_row::{EventRow, SCHEMA},
    field::Field,
    number::Number,
};
