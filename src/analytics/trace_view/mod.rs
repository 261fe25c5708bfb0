//! The requests of a trace, a session, or an agent run, as turns in order. [`TraceView`] defines the terms.

mod loops;
mod retries;
mod step;
mod step_loop;
mod trace_summary;
mod trace_view;
mod tree;
mod turn;

pub use self::{step_loop::StepLoop, trace_summary::TraceSummary, trace_view::TraceView, turn::Turn};
