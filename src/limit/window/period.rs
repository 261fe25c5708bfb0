/// The slots of the ledger that a window covers at one time. Times are microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    /// The start of the first slot that counts.
    pub(crate) from: i64,
    /// The start of the current slot, which is charged. For calendar windows, this is `from`.
    pub(crate) slot: i64,
    /// The time at which an exhausted window has room again: the end of a calendar window, or the end of the first slot's
    /// part in a rolling one.
    pub(crate) end: i64,
    /// The time from which the current slot is not read any more.
    pub(crate) keep_until: i64,
}
