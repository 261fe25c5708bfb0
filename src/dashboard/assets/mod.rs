//! The files that pages load. They are part of the binary, and their names change with their content.

mod asset;

pub(crate) use self::asset::{SCRIPT, STYLE, asset};
