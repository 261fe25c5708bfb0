use serde::Serialize;

use crate::analytics::Amount;

/// Steps that a conversation repeated in direct succession.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepLoop {
    /// The names of the steps that are repeated, at most four.
    pub steps: Vec<String>,
    /// The number of repetitions, at least three.
    pub repeats: usize,
    /// The indexes of all turns of the loop.
    pub turns: Vec<usize>,
    /// The known cost of these turns.
    pub cost: Amount,
}
