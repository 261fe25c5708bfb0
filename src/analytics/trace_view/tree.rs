use std::collections::HashMap;

use super::turn::Turn;

/// The largest depth of a turn. Ids of spans come from clients, so they may form a circle.
const MAX_DEPTH: usize = 64;

/// Sets the parent and the depth of each turn.
pub(super) fn set_parents(turns: &mut [Turn]) {
    let mut spans = HashMap::new();
    for (index, turn) in turns.iter().enumerate() {
        spans.entry((turn.trace_id.as_str(), turn.span_id.as_str())).or_insert(index);
    }
    let parents: Vec<Option<usize>> = turns
        .iter()
        .enumerate()
        .map(|(index, turn)| {
            let parent = spans.get(&(turn.trace_id.as_str(), turn.parent_span_id.as_deref()?)).copied()?;
            (parent != index).then_some(parent)
        })
        .collect();
    for (turn, parent) in turns.iter_mut().zip(&parents) {
        turn.parent = *parent;
        let next = |index: &usize| parents.get(*index).copied().flatten();
        turn.depth = std::iter::successors(*parent, next).take(MAX_DEPTH).count();
    }
}
