//! The configuration file.

mod config_format;
mod config_problem;
mod json_text;
mod load;
mod node;
mod place;
mod position;
mod read_callers;
#[cfg(feature = "jwt")]
mod read_jwt;
mod read_settings;
mod reader;
mod timestamp;
mod toml_text;

#[cfg(feature = "postgres")]
pub(crate) use self::load::load_callers;
pub(crate) use self::load::{check, load};
#[cfg(feature = "limit")]
pub(crate) use self::place::Table;
pub use self::{config_format::ConfigFormat, config_problem::ConfigProblem};
#[cfg(feature = "analytics")]
pub(crate) use self::{load::read_sections, place::Place, reader::Reader};
