use std::time::SystemTime;

use jiff::tz::TimeZone;

use crate::{
    analytics::Analytics,
    limit::{
        alerts::{alert_error::AlertError, finding::Finding, ledger_drift::LedgerDrift, watch_state::WatchState},
        limiter::{LimitUsage, Limiter},
        policies::LATE,
        rules::{LimitKind, LimitMode},
    },
    registry::Registry,
    sink::Delivery,
    time::signed_micros,
};

/// The data that rules are evaluated on.
pub(in crate::limit::alerts) struct Watch<'a> {
    pub(in crate::limit::alerts) time: SystemTime,
    pub(in crate::limit::alerts) analytics: &'a Analytics,
    pub(in crate::limit::alerts) limiter: &'a Limiter,
    pub(in crate::limit::alerts) registry: Option<&'a Registry>,
    pub(in crate::limit::alerts) delivery: &'a Delivery,
    pub(in crate::limit::alerts) zone: &'a TimeZone,
    pub(in crate::limit::alerts) state: &'a WatchState,
    pub(in crate::limit::alerts) drifts: &'a [LedgerDrift],
    /// The times and usages of all budgets: of now, and of windows that ended shortly before.
    pub(in crate::limit::alerts) usage: Vec<(SystemTime, Vec<LimitUsage>)>,
}

/// The findings of a rule.
#[derive(Default)]
pub(in crate::limit::alerts) struct Found {
    pub(in crate::limit::alerts) findings: Vec<Finding>,
    /// The end of the time that need not be evaluated again, once everything is raised.
    pub(in crate::limit::alerts) evaluated: Option<i64>,
    /// The reasons why a part was not evaluated.
    pub(in crate::limit::alerts) errors: Vec<AlertError>,
}

impl From<Vec<Finding>> for Found {
    fn from(findings: Vec<Finding>) -> Self {
        Self { findings, ..Self::default() }
    }
}

impl Watch<'_> {
    /// Reads what budgets have used.
    pub(in crate::limit::alerts) async fn read_usage(&mut self) -> Result<(), AlertError> {
        self.usage.push((self.time, self.limiter.usage_at(self.time).await?));
        let Some(earlier) = self.time.checked_sub(LATE) else { return Ok(()) };
        let slot = |kind: &LimitKind, time| match kind {
            LimitKind::Budget { window, .. } => Some(window.period(signed_micros(time)).slot),
            _ => None,
        };
        let has_ended = |kind: &LimitKind| slot(kind, self.time) != slot(kind, earlier);
        if self.limiter.rules().iter().any(|rule| has_ended(rule.kind())) {
            self.usage.push((earlier, self.limiter.usage_at(earlier).await?));
        }
        Ok(())
    }

    /// Returns what groups of budgets have used, with the time. Rules that are off are left out.
    pub(super) fn usages(&self) -> impl Iterator<Item = (SystemTime, &LimitUsage)> {
        let all = self.usage.iter().flat_map(|(time, usages)| usages.iter().map(|usage| (*time, usage)));
        all.filter(|(_, usage)| usage.rule.mode() != LimitMode::Off)
    }
}
