use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::{
    row::EventRow,
    usage::{CostLine, Money},
};

use super::focus_meter::FocusMeter;

/// The values that rows of the export have in common. They differ only by their meter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FocusGroup {
    pub(super) day: Date,
    pub(super) provider: Option<String>,
    pub(super) model: Option<String>,
    pub(super) workspace: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) cost_status: Option<String>,
    pub(super) price_source: Option<String>,
}

impl FocusGroup {
    /// Returns the group of a request on this UTC day.
    pub(super) fn of(row: &EventRow, day: Date, tag_keys: &[String]) -> Self {
        let tag = |key: &String| Some((key.clone(), row.raw_metadata.get(key)?.to_owned()));
        Self {
            day,
            provider: row.provider.clone(),
            model: row.model.clone(),
            workspace: row.workspace.clone(),
            tags: tag_keys.iter().filter_map(tag).collect(),
            cost_status: row.cost_status.clone(),
            price_source: row.price_source.clone(),
        }
    }
}

/// The sums of a row of the export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FocusSums {
    pub(super) quantity: u64,
    pub(super) cost: Money,
    pub(super) requests: u64,
}

impl FocusSums {
    pub(super) fn add(&mut self, quantity: u64, cost: Money) {
        self.quantity = self.quantity.saturating_add(quantity);
        self.cost += cost;
        self.requests += 1;
    }
}

/// Returns the meters of a request with a known cost, with quantity and cost. The costs add up to the cost of the request.
pub(super) fn metered(row: &EventRow, total: Money) -> Vec<(FocusMeter, u64, Money)> {
    if let Some(lines) = &row.cost_lines
        && lines.iter().map(|line| line.cost).sum::<Money>() == total
        && !lines.is_empty()
    {
        return lines
            .iter()
            .map(|CostLine { unit, quantity, cost, .. }| (FocusMeter::Kind(*unit), *quantity, *cost))
            .collect();
    }
    let part = |nanos: Option<u64>, tokens: Option<u64>| nanos.zip(tokens.filter(|tokens| *tokens > 0));
    let input = part(row.input_cost_nanos, row.input_tokens);
    let output = part(row.output_cost_nanos, row.output_tokens);
    let known = [(FocusMeter::Input, input), (FocusMeter::Output, output)];
    let sum = known.iter().filter_map(|(_, part)| part.map(|(nanos, _)| nanos)).fold(0, u64::saturating_add);
    let Some(rest) = total.nano_usd().checked_sub(sum) else {
        return vec![(FocusMeter::Other, 1, total)];
    };
    let mut parts: Vec<_> = known
        .into_iter()
        .filter_map(|(meter, part)| part.map(|(nanos, tokens)| (meter, tokens, Money::from_nano_usd(nanos))))
        .collect();
    if rest > 0 || parts.is_empty() {
        parts.push((FocusMeter::Other, 1, Money::from_nano_usd(rest)));
    }
    parts
}
