//! Numbers that all ledgers compute in the same way.

/// Returns microseconds as a signed number.
pub(crate) fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Rounds microseconds down to a whole second.
pub(crate) fn whole_second(micros: i64) -> i64 {
    micros.saturating_sub(micros.rem_euclid(1_000_000))
}
