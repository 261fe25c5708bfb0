use std::collections::HashMap;

use crate::row::EventRow;

use super::{
    step::{Conversation, Step, turn_number},
    turn::Turn,
};

/// Marks each turn that repeats a failed one.
pub(super) fn mark_retries(rows: &[EventRow], turns: &mut [Turn]) {
    // The last failure of each step that was not retried yet.
    let mut failures = HashMap::new();
    for (index, (row, turn)) in rows.iter().zip(turns).enumerate() {
        let step = (Conversation::of(row), Step::of(row), turn_number(row));
        let has_ended = |failure: &&(usize, _)| failure.1 <= row.requested_at;
        turn.retry_of = failures.get(&step).filter(has_ended).map(|(index, _)| *index);
        if turn.retry_of.is_some() {
            failures.remove(&step);
        }
        if row.is_error {
            failures.insert(step, (index, row.responded_at));
        }
    }
}

/// Sets the growth of the input since the previous turn of the conversation.
pub(super) fn set_growth(rows: &[EventRow], turns: &mut [Turn]) {
    let mut previous = HashMap::new();
    for (row, turn) in rows.iter().zip(turns) {
        let Some(tokens) = row.input_tokens.and_then(|tokens| i64::try_from(tokens).ok()) else { continue };
        let model = row.request_model.as_deref().or(row.model.as_deref());
        let last = previous.insert((Conversation::of(row), model, row.operation.as_deref()), tokens);
        turn.input_growth = last.map(|last| tokens.saturating_sub(last));
    }
}
