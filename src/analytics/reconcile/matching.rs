use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};

use jiff::civil::Date;

use crate::usage::{Money, SignedMoney, Unit};

use super::{
    BilledLine, DifferenceReason, LineKey, MatchedLine, OurLine, Reconciliation,
    explain::{difference, explain},
    report_tiers::ReportTiers,
};

/// Compares our lines with the lines of the provider's report.
///
/// A line of the bill covers our lines of the same day, provider, model, kind of usage, and service tier. A line without a
/// model, a kind, or a tier covers those that no more precise line covers. If we do not know the kinds of a model's cost, its
/// lines are compared as a whole. If we do not know the tiers of a model's usage, its lines are compared over all tiers.
///
/// If a cost report and a usage report are not grouped by the same service tiers, they are compared over all tiers. So group
/// both by it.
///
/// Pass our lines only for the days and providers that the report is about.
pub fn reconcile(
    ours: impl IntoIterator<Item = OurLine>,
    billed: impl IntoIterator<Item = BilledLine>,
) -> Reconciliation {
    let mut ours = by_day(ours);
    let mut result = Reconciliation::default();
    let billed = added_up(with_common_tiers(billed.into_iter().collect()), &ours);
    let names: HashSet<_> =
        billed.iter().filter_map(|line| Some((place(&line.key), line.key.model.clone()?))).collect();
    let with_amounts: HashSet<_> =
        billed.iter().filter(|line| line.amount.is_some()).map(|line| place(&line.key)).collect();
    let mut unmatched = Vec::new();
    for billed in billed {
        let place = place(&billed.key);
        // A line with exactly our model's name takes precedence over one with another version of the name.
        let is_of_other = |line: &OurLine| {
            let ours = line.key.model.as_ref();
            billed.key.model.is_some()
                && billed.key.model.as_ref() != ours
                && ours.is_some_and(|model| names.contains(&(place.clone(), model.clone())))
        };
        let lines = ours.remove(&place).unwrap_or_default();
        let (covered, rest): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| billed.key.covers(&line.key) && !is_of_other(line));
        ours.insert(place.clone(), rest);
        if covered.is_empty() {
            unmatched.push(billed);
        } else {
            let has_costs = with_amounts.contains(&place);
            result.add(billed, &covered, has_costs);
        }
    }
    let ours: Vec<_> = ours.into_values().flatten().collect();
    let keys: Vec<_> = unmatched.iter().filter(|line| line.amount.is_some()).map(|line| line.key.clone()).collect();
    for billed in unmatched {
        let is_on_other_tier = ours.iter().any(|line| billed.key.is_on_other_tier(&line.key));
        result.add_unrecorded(billed, is_on_other_tier);
    }
    for line in ours {
        let is_on_other_tier = keys.iter().any(|billed| billed.is_on_other_tier(&line.key));
        result.add_unbilled(line, is_on_other_tier);
    }
    result.matched.sort_by(|one, other| one.billed.key.cmp(&other.billed.key));
    result.missing_on_our_side.sort_by(|one, other| one.key.cmp(&other.key));
    result
}

/// Returns `true` for a tier that the provider's cost report lacks.
fn is_missing_tier(key: &LineKey) -> bool {
    key.provider == "anthropic" && key.service_tier.as_deref() == Some("priority")
}

/// Removes the tiers of lines that cannot be compared by tier, because other lines with the same subject have none.
///
/// A cost report and a usage report may be grouped differently.
fn with_common_tiers(mut billed: Vec<BilledLine>) -> Vec<BilledLine> {
    let mut tiers: BTreeMap<LineKey, ReportTiers> = BTreeMap::new();
    for line in &billed {
        let tiers = tiers.entry(line.key.of_all_tiers()).or_default();
        let tier = &line.key.service_tier;
        tiers.costs.extend(line.amount.is_some().then(|| tier.clone()));
        tiers.usage.extend(line.quantity.is_some().then(|| tier.clone()));
    }
    for line in &mut billed {
        if let Some(tiers) = tiers.get(&line.key.of_all_tiers()) {
            line.key.service_tier = tiers.common(line.key.service_tier.take());
        }
    }
    billed
}

/// The day and the provider of a line.
type Place = (Date, String);

fn place(key: &LineKey) -> Place {
    (key.day, key.provider.clone())
}

fn by_day(lines: impl IntoIterator<Item = OurLine>) -> BTreeMap<Place, Vec<OurLine>> {
    let mut days: BTreeMap<Place, Vec<OurLine>> = BTreeMap::new();
    for line in lines {
        days.entry(place(&line.key)).or_default().push(line);
    }
    days
}

/// Adds up the lines of the bill with equal keys. The most precise lines are first.
fn added_up(billed: impl IntoIterator<Item = BilledLine>, ours: &BTreeMap<Place, Vec<OurLine>>) -> Vec<BilledLine> {
    let mut sums: BTreeMap<LineKey, BilledLine> = BTreeMap::new();
    for mut line in billed {
        let ours = ours.get(&place(&line.key)).map(Vec::as_slice).unwrap_or_default();
        if ours.iter().any(|our| is_part_of_unknown_tier(&line.key, &our.key)) {
            line.key.service_tier = None;
        }
        let whole = LineKey { unit: None, ..line.key.clone() };
        let is_whole = |our: &OurLine| our.key.unit.is_none() && whole.covers(&our.key);
        let is_split = line.key.unit.is_some_and(is_token) && line.key.model.is_some();
        if is_split && ours.iter().any(is_whole) {
            // Quantities of different kinds cannot be added.
            (line.key.unit, line.quantity) = (None, None);
        }
        match sums.get_mut(&line.key) {
            Some(sum) => sum.add(line),
            None => _ = sums.insert(line.key.clone(), line),
        }
    }
    let mut lines: Vec<_> = sums.into_values().collect();
    lines.sort_by_key(|line| Reverse(line.key.precision()));
    lines
}

/// Returns `true` if our line may contain usage of the billed line, and its tier is unknown.
fn is_part_of_unknown_tier(billed: &LineKey, our: &LineKey) -> bool {
    let unit = billed.unit.filter(|_| our.unit.is_some());
    our.service_tier.is_none() && LineKey { unit, ..billed.of_all_tiers() }.covers(our)
}

fn is_token(unit: Unit) -> bool {
    unit < Unit::WebSearches
}

impl Reconciliation {
    /// Adds a line of the bill with our lines that it covers. `has_costs` is `true` if there is a cost report for their day.
    fn add(&mut self, billed: BilledLine, covered: &[OurLine], has_costs: bool) {
        let mut ours = OurLine::new(billed.key.clone());
        covered.iter().for_each(|line| ours.add(line));
        let (difference, by_reason) = match billed.amount {
            Some(amount) => (Some(self.add_amounts(ours.cost, amount)), explain(&ours, &billed, amount)),
            None if has_costs && is_missing_tier(&billed.key) => {
                let difference = self.add_amounts(ours.cost, SignedMoney::ZERO);
                (Some(difference), BTreeMap::from([(DifferenceReason::PriorityTier, difference)]))
            }
            None => (None, BTreeMap::new()),
        };
        for (reason, part) in &by_reason {
            self.add_reason(*reason, *part);
        }
        self.matched.push(MatchedLine { billed, ours, difference, by_reason });
    }

    /// Adds a line of the bill that covers no lines of ours.
    fn add_unrecorded(&mut self, billed: BilledLine, is_on_other_tier: bool) {
        if let Some(amount) = billed.amount {
            let reason = if is_on_other_tier { DifferenceReason::ServiceTier } else { DifferenceReason::NotRecorded };
            let difference = self.add_amounts(Money::ZERO, amount);
            self.add_reason(reason, difference);
        }
        self.missing_on_our_side.push(billed);
    }

    /// Adds a line of ours that the bill lacks.
    fn add_unbilled(&mut self, line: OurLine, is_on_other_tier: bool) {
        let reason = if line.key.unit.is_some_and(|unit| !is_token(unit)) {
            DifferenceReason::Tools
        } else if is_missing_tier(&line.key) {
            DifferenceReason::PriorityTier
        } else if is_on_other_tier {
            DifferenceReason::ServiceTier
        } else {
            DifferenceReason::NotBilled
        };
        let difference = self.add_amounts(line.cost, SignedMoney::ZERO);
        self.add_reason(reason, difference);
        self.missing_on_provider_side.push(line);
    }

    /// Adds the amounts of both sides, and returns their difference.
    fn add_amounts(&mut self, ours: Money, billed: SignedMoney) -> SignedMoney {
        self.ours += ours;
        self.billed += billed;
        let difference = difference(ours, billed);
        self.difference += difference;
        difference
    }

    fn add_reason(&mut self, reason: DifferenceReason, part: SignedMoney) {
        if part != SignedMoney::ZERO {
            *self.by_reason.entry(reason).or_default() += part;
        }
    }
}
