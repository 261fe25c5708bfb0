use std::time::Duration;

use super::{super::window::Window, amount::Amount};

/// The quantity that a rule limits, and over which time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LimitKind {
    /// An amount per window.
    Budget {
        /// The amount.
        amount: Amount,
        /// The window.
        window: Window,
    },
    /// A speed, by the generic cell rate algorithm (GCRA).
    Rate {
        /// The amount that is sustained per time.
        amount: Amount,
        /// The time.
        per: Duration,
        /// The amount that is available at once after a pause, in the units of the ledger. The default is `amount`.
        burst: Amount,
    },
    /// A number of requests that run at the same time.
    Concurrency {
        /// The number.
        requests: u32,
    },
}
