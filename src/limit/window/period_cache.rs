use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{period::Period, window::Window};

/// The last period of a window. Looking it up takes some nanoseconds, and computing it a fraction of a microsecond.
#[derive(Debug, Default)]
pub(crate) struct PeriodCache(ArcSwapOption<Period>);

impl PeriodCache {
    /// Returns the period of a window, which is the same in each call, at a time.
    pub(crate) fn period(&self, window: &Window, time: i64) -> Period {
        if let Some(period) = self.0.load().as_deref().filter(|period| period.contains(time)) {
            return *period;
        }
        let period = window.period(time);
        self.0.store(Some(Arc::new(period)));
        period
    }
}
