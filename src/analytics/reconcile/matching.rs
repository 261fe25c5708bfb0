use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};

use jiff::civil::Date;

use crate::usage::{SignedMoney, Unit};

use super::{
    BilledLine, DifferenceReason, LineKey, MatchedLine, OurLine, Reconciliation,
    explain::{difference, explain},
};

/// Compares our lines with the lines of the provider's report.
///
/// A line of the bill covers our lines of the same day, provider, model, and kind of usage. A line without a model, or
/// without a kind, covers those that no more precise line covers. If we do not know the kinds of a model's cost, its lines
/// are compared as a whole.
///
/// Pass our lines only for the days and providers that the report is about.
pub fn reconcile(
    ours: impl IntoIterator<Item = OurLine>,
    billed: impl IntoIterator<Item = BilledLine>,
) -> Reconciliation {
    let mut ours = by_day(ours);
    let mut result = Reconciliation::default();
    let billed = added_up(billed, &ours);
    let names: HashSet<_> =
        billed.iter().filter_map(|line| Some((place(&line.key), line.key.model.clone()?))).collect();
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
        result.add(billed, &covered);
    }
    for line in ours.into_values().flatten() {
        result.add_unbilled(line);
    }
    result.matched.sort_by(|one, other| one.billed.key.cmp(&other.billed.key));
    result.missing_on_our_side.sort_by(|one, other| one.key.cmp(&other.key));
    result
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
        let whole = LineKey { unit: None, ..line.key.clone() };
        let is_whole = |our: &OurLine| our.key.unit.is_none() && whole.covers(&our.key);
        let is_split = line.key.unit.is_some_and(is_token) && line.key.model.is_some();
        if is_split && ours.get(&place(&line.key)).is_some_and(|lines| lines.iter().any(is_whole)) {
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

fn is_token(unit: Unit) -> bool {
    unit < Unit::WebSearches
}

impl Reconciliation {
    /// Adds a line of the bill with our lines that it covers.
    fn add(&mut self, billed: BilledLine, covered: &[OurLine]) {
        let mut ours = OurLine::new(billed.key.clone());
        covered.iter().for_each(|line| ours.add(line));
        let Some(amount) = billed.amount else {
            if covered.is_empty() {
                self.missing_on_our_side.push(billed);
            } else {
                self.matched.push(MatchedLine { billed, ours, difference: None, by_reason: BTreeMap::new() });
            }
            return;
        };
        self.billed += amount;
        self.ours += ours.cost;
        let difference = difference(ours.cost, amount);
        self.difference += difference;
        if covered.is_empty() {
            *self.by_reason.entry(DifferenceReason::NotRecorded).or_default() += difference;
            self.missing_on_our_side.push(billed);
            return;
        }
        let by_reason = explain(&ours, &billed, amount);
        for (reason, part) in &by_reason {
            *self.by_reason.entry(*reason).or_default() += *part;
        }
        self.matched.push(MatchedLine { billed, ours, difference: Some(difference), by_reason });
    }

    /// Adds a line of ours that the bill lacks.
    fn add_unbilled(&mut self, line: OurLine) {
        let reason = if line.key.unit.is_some_and(|unit| !is_token(unit)) {
            DifferenceReason::Tools
        } else if line.key.provider == "anthropic" && line.priority_requests > 0 {
            DifferenceReason::PriorityTier
        } else {
            DifferenceReason::NotBilled
        };
        let cost = difference(line.cost, SignedMoney::ZERO);
        self.ours += line.cost;
        self.difference += cost;
        if cost != SignedMoney::ZERO {
            *self.by_reason.entry(reason).or_default() += cost;
        }
        self.missing_on_provider_side.push(line);
    }
}
