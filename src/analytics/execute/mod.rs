//! The computation of answers: selects the sums and rows to read, and adds them up.

mod assembly;
mod collect;
mod cover;
mod explain;
mod feedback_map;
mod group_cursor;
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
    run::{explain, read_feedback, run, run_rows},
};
