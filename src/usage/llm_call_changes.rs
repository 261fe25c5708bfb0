//! Changes to a call before its event is delivered.

use std::time::Duration;

use crate::{
    metadata::{Diagnostic, DiagnosticCode},
    time::micros,
};

use super::{cost_status::CostStatus, llm_call::LlmCall, usage::Usage, usage_status::UsageStatus};

impl LlmCall {
    /// Takes the diagnostics of usage and cost. They belong to the event.
    pub(crate) fn take_diagnostics(&mut self) -> impl Iterator<Item = Diagnostic<'static>> + use<> {
        let note = |code: DiagnosticCode| move |detail: String| Diagnostic::new(code).with_detail(detail);
        let inconsistencies = std::mem::take(&mut self.inconsistencies).into_iter();
        inconsistencies
            .map(note(DiagnosticCode::UsageInconsistent))
            .chain(self.excessive_usage().map(note(DiagnosticCode::UsageClamped)))
            .chain(self.clamped.take().map(note(DiagnosticCode::CostClamped)))
    }

    /// Returns a description of the counts above [`MAX_USAGE`](Self::MAX_USAGE). `None` if there are none.
    fn excessive_usage(&self) -> Option<String> {
        let counts = self.usage.iter().flat_map(Usage::iter).filter(|(_, count)| *count > Self::MAX_USAGE);
        let counts: Vec<String> = counts.map(|(unit, count)| format!("{} is {count}", unit.as_str())).collect();
        (!counts.is_empty()).then(|| format!("{}: stores keep at most {}", counts.join(", "), Self::MAX_USAGE))
    }

    /// Returns the call with the statuses of one whose response was dropped: what it used beyond the known counts is unknown.
    pub(crate) fn cut_off(&self) -> Self {
        let mut call = self.clone();
        if call.usage_status == UsageStatus::Absent {
            call.usage_status = UsageStatus::Partial;
        }
        if call.cost_status == CostStatus::NoUsage {
            call.cost_status = CostStatus::Partial;
        }
        call
    }

    /// Rounds times down to microseconds, the resolution of a serialized event.
    pub(super) fn round_times(&mut self) {
        for time in [&mut self.duration, &mut self.first_token].into_iter().flatten() {
            *time = Duration::from_micros(micros(*time));
        }
    }

    /// Clamps the cost to [`MAX_COST`](Self::MAX_COST), and notes the original amount.
    pub(super) fn clamp_cost(&mut self) {
        let cost = [self.cost, self.input_cost, self.output_cost].into_iter().flatten().max();
        let Some(cost) = cost.filter(|cost| *cost > Self::MAX_COST) else { return };
        self.clamped = Some(format!("{cost} US dollars exceed the limit of {} for one call", Self::MAX_COST));
        for amount in [&mut self.cost, &mut self.input_cost, &mut self.output_cost] {
            *amount = amount.map(|amount| amount.min(Self::MAX_COST));
        }
        self.cost_lines = None;
    }
}
