//! The pages, one file each.

mod overview;

pub(crate) use self::overview::overview;
