//! Numbers that all ledgers compute in the same way.

/// Rounds microseconds down to a whole second.
pub(crate) fn whole_second(micros: i64) -> i64 {
    micros.saturating_sub(micros.rem_euclid(1_000_000))
}
