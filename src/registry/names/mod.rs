mod key_style;
mod names;
mod names_builder;

pub use self::{key_style::KeyStyle, names::Names, names_builder::NamesBuilder};
