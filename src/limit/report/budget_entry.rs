use std::time::SystemTime;

use super::{
    super::{
        limiter::LimitUsage,
        policies::is_for_ever,
        rules::{Amount, LimitKind},
        window::Window,
    },
    LimitSource,
};

/// The part of a window that must have passed before its end is projected.
const MIN_ELAPSED: f64 = 0.01;

/// The usage of a budget by a group in its current window.
#[derive(Clone, Debug)]
pub(crate) struct BudgetEntry {
    pub(crate) usage: LimitUsage,
    pub(crate) source: LimitSource,
    /// The requests that the rule rejected in the window. `None` if they are not known.
    pub(crate) rejected: Option<u64>,
}

impl BudgetEntry {
    /// Returns the settled and reserved amounts.
    pub(crate) fn used(&self) -> Amount {
        let used = self.usage.settled.count.saturating_add(self.usage.reserved.count);
        Amount::of_count(self.usage.limit.unit.clone(), used)
    }

    /// Returns what is left of the limit, at least zero.
    pub(crate) fn remaining(&self) -> Amount {
        let left = self.usage.limit.count.saturating_sub(self.used().count).max(0);
        Amount::of_count(self.usage.limit.unit.clone(), left)
    }

    /// Returns the used share of the limit, where 1 is all of it.
    pub(crate) fn share(&self) -> f64 {
        let limit = self.usage.limit.as_f64();
        if limit > 0.0 { self.used().as_f64() / limit } else { 1.0 }
    }

    /// Returns the end of the window. `None` if it rolls, or never ends.
    pub(crate) fn end(&self) -> Option<SystemTime> {
        self.window().filter(|window| Self::has_end(window)).map(|_| self.usage.to)
    }

    fn has_end(window: &Window) -> bool {
        !matches!(window, Window::Rolling(_)) && !is_for_ever(window)
    }

    /// Returns the settled amount at the end of the window, if usage continues at its current speed.
    ///
    /// `None` for windows that have only begun, that roll, or that never end.
    #[allow(clippy::cast_possible_truncation, reason = "casts from floating-point numbers saturate")]
    #[allow(clippy::cast_precision_loss, reason = "a projection is approximate")]
    pub(crate) fn projection(&self, now: SystemTime) -> Option<Amount> {
        self.window().filter(|window| Self::has_end(window))?;
        let length = self.usage.to.duration_since(self.usage.from).ok()?.as_secs_f64();
        let elapsed = now.duration_since(self.usage.from).ok()?.as_secs_f64();
        let part = (elapsed / length).min(1.0);
        let settled = &self.usage.settled;
        (part >= MIN_ELAPSED)
            .then(|| Amount::of_count(settled.unit.clone(), (settled.count as f64 / part).round() as i64))
    }

    fn window(&self) -> Option<&Window> {
        match self.usage.rule.kind() {
            LimitKind::Budget { window, .. } => Some(window),
            _ => None,
        }
    }

    /// Returns the text of the window, such as `month UTC`.
    pub(crate) fn window_text(&self) -> String {
        match self.window() {
            Some(window) if is_for_ever(window) => "for ever".to_owned(),
            Some(window) => window.to_string(),
            None => String::new(),
        }
    }
}
