//! The share of requests, and of their cost, that carries each tag.

mod coverage;
mod tag_coverage;

pub(crate) use self::coverage::Coverage;
pub use self::tag_coverage::TagCoverage;
