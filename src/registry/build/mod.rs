//! The validation of a definition, and the snapshot that results from it.

mod access;
mod api_keys;
mod build;
mod names;
mod own_tags;
mod rules;
#[cfg(feature = "jwt")]
mod tokens;
mod virtual_keys;
mod workspaces;

pub(crate) use self::build::build;
