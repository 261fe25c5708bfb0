use std::collections::BTreeMap;

use crate::row::EventRow;

use super::{
    step::{Conversation, Step, turn_number},
    step_loop::StepLoop,
    turn::{Turn, money},
};

/// The smallest number of repeats of a loop.
const MIN_REPEATS: usize = 3;
/// The largest number of steps that a loop repeats.
const MAX_STEPS: usize = 4;

/// The values that a turn and its repetition have in common.
#[derive(PartialEq, Eq)]
struct Signature<'r> {
    step: Step<'r>,
    turn: Option<&'r str>,
    model: Option<&'r str>,
    /// The size of the input of steps without a name.
    size: Option<u64>,
}

impl<'r> Signature<'r> {
    /// Returns `None` if no other turn can repeat this one.
    fn of(row: &'r EventRow) -> Option<Self> {
        let step = Step::of(row);
        let size = match step {
            Step::Named { .. } => None,
            Step::Request { .. } => Some(row.input_tokens.or(row.request_bytes)?),
        };
        let model = row.request_model.as_deref().or(row.model.as_deref());
        Some(Self { step, turn: turn_number(row), model, size })
    }
}

/// Finds the loops, and marks their turns.
pub(super) fn mark_loops(rows: &[EventRow], turns: &mut [Turn]) -> Vec<StepLoop> {
    let mut conversations = BTreeMap::<_, Vec<(usize, Option<Signature<'_>>)>>::new();
    for (index, row) in rows.iter().enumerate() {
        conversations.entry(Conversation::of(row)).or_default().push((index, Signature::of(row)));
    }
    let mut found: Vec<(Vec<usize>, usize)> = conversations.values().flat_map(|turns| find(turns)).collect();
    found.sort_unstable();
    let loops = found.into_iter().enumerate().map(|(number, (indexes, steps))| {
        let mut cost = 0_u64;
        let mut names = Vec::new();
        for index in &indexes {
            cost = cost.saturating_add(rows.get(*index).and_then(|row| row.total_cost_nanos).unwrap_or(0));
            if let Some(turn) = turns.get_mut(*index) {
                turn.in_loop = Some(number);
                names.push(turn.name.clone());
            }
        }
        names.truncate(steps);
        StepLoop { steps: names, repeats: indexes.len() / steps.max(1), turns: indexes, cost: money(cost) }
    });
    loops.collect()
}

/// Returns the indexes of the turns of each loop of a conversation, and the number of steps that it repeats.
fn find(turns: &[(usize, Option<Signature<'_>>)]) -> Vec<(Vec<usize>, usize)> {
    let mut loops = Vec::new();
    let mut rest = turns;
    while !rest.is_empty() {
        let found = (1..=MAX_STEPS).map(|steps| (steps, repeats(rest, steps))).find(|(_, count)| *count >= MIN_REPEATS);
        let length = found.map_or(1, |(steps, count)| steps * count);
        let (turns, later) = rest.split_at(length.min(rest.len()));
        if let Some((steps, _)) = found {
            loops.push((turns.iter().map(|(index, _)| *index).collect(), steps));
        }
        rest = later;
    }
    loops
}

/// Returns how often the first steps are done in direct succession.
fn repeats(turns: &[(usize, Option<Signature<'_>>)], steps: usize) -> usize {
    let Some(first) = turns.get(..steps) else { return 0 };
    let is_same = |chunk: &&[(usize, Option<Signature<'_>>)]| {
        chunk.len() == steps && chunk.iter().zip(first).all(|(one, other)| one.1.is_some() && one.1 == other.1)
    };
    turns.chunks(steps).take_while(is_same).count()
}
