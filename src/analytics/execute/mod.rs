//! How an answer is computed: which sums and rows are read, and how they are added up.

mod assembly;
mod collect;
mod cover;
mod explain;
mod feedback_map;
mod measures;
mod plan;
mod row_limits;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod run;
mod run_memory;

pub use self::explain::Explanation;
pub(crate) use self::{assembly::Assembly, feedback_map::FeedbackMap, row_limits::RowLimits, run_memory::run_memory};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use self::{
    plan::summed,
    run::{explain, feedback_map, run, run_rows},
};
