/// The slots of the ledger that a window covers at one time. Times are microseconds since 1970.
///
/// A period holds for every time from `slot` up to `end`, which is excluded: it can be kept and used again until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    /// The start of the first slot that counts. For calendar windows and windows of days, this is `slot`.
    pub(crate) from: i64,
    /// The start of the current slot, which is charged.
    pub(crate) slot: i64,
    /// The end of the current slot. This is the earliest time at which something is no longer counted: everything in a
    /// calendar window, and the first slot of a rolling one.
    pub(crate) end: i64,
    /// The time from which the current slot is not read any more, plus two days for late settlements and checks.
    pub(crate) keep_until: i64,
}

impl Period {
    /// Returns `true` if the period holds at a time.
    pub(crate) fn contains(&self, time: i64) -> bool {
        (self.slot..self.end).contains(&time)
    }
}
