use std::time::SystemTime;

use super::amount::Amount;

/// A temporary raise of a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Raise {
    /// The amount that is added.
    pub amount: Amount,
    /// The end of the raise.
    pub until: SystemTime,
}
