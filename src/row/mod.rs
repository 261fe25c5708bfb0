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
mod filter;
mod from_event;
mod number;
mod stored;
mod value;

#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
pub(crate) use self::stored::limited_value;
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
    filter::Filter,
    number::Number,
};
