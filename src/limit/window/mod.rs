//! The time that a budget covers.

mod calendar_unit;
mod period;
mod window;

pub(crate) use self::period::Period;
pub use self::{calendar_unit::CalendarUnit, window::Window};
