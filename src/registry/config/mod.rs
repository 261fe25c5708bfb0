//! The configuration file.

mod config_format;
mod config_problem;
mod load;

pub(crate) use self::load::{check, load};
pub use self::{config_format::ConfigFormat, config_problem::ConfigProblem};
