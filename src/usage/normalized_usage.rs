use super::{CostOrigin, Unit, Usage, iterations::Iterations};

/// The counts of a response in the meaning of the OTel GenAI conventions, whatever the provider's own.
#[derive(Debug, Default)]
pub(super) struct NormalizedUsage {
    pub(super) usage: Usage,
    /// The model runs that `usage` is the sum of, if the provider reports them. Each one is priced separately.
    pub(super) iterations: Iterations,
    /// The provider counts the call but does not bill it.
    pub(super) is_waived: bool,
    /// Descriptions of counts that do not add up.
    pub(super) inconsistencies: Vec<String>,
}

impl NormalizedUsage {
    /// Returns how the cost of the call will follow from its usage.
    pub(super) fn cost_origin(&self) -> CostOrigin {
        match self.iterations.is_single_run() {
            _ if self.is_waived => CostOrigin::Waived,
            true => CostOrigin::Call,
            false => CostOrigin::SeveralCalls,
        }
    }

    /// Adds counts of another report that are unknown so far. Input comes with its cache counts.
    pub(super) fn fill_in(&mut self, other: Self) {
        const INPUT: [Unit; 3] = [Unit::InputTokens, Unit::CacheReadTokens, Unit::CacheWriteTokens];
        let has_input = self.usage.input_tokens().is_some();
        for (unit, count) in other.usage.iter() {
            if self.usage.get(unit).is_none() && !(has_input && INPUT.contains(&unit)) {
                self.usage.set(unit, count);
            }
        }
        self.inconsistencies.extend(other.inconsistencies);
    }

    /// Adds the cached tokens to the input if they exceed it: then the provider counts them separately.
    pub(super) fn count_excess_cache_as_input(&mut self) {
        let count = |unit| self.usage.get(unit).unwrap_or(0);
        let cached = count(Unit::CacheReadTokens).saturating_add(count(Unit::CacheWriteTokens));
        if self.usage.input_tokens().is_some_and(|input| cached > input) {
            self.usage.add(Unit::InputTokens, cached);
        }
    }
}
