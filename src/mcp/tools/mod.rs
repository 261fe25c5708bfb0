//! The tools: what each of them asks the API, and what it makes of the answer.

mod budgets;
mod call;
mod explain_cost;
mod graphs;
mod groups;
mod lists;
mod query;
mod run;
pub(crate) mod schemas;
mod trace;

pub(crate) use self::{call::Call, run::run};
