//! The time that a budget covers.

mod boundaries;
mod calendar_unit;
mod period;
mod period_cache;
mod window;
#[cfg(test)]
mod window_tests;

pub use self::{calendar_unit::CalendarUnit, window::Window};
pub(crate) use self::{period::Period, period_cache::PeriodCache};
