/// The fate of the events that a [`BatchWriter`](super::BatchWriter) did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// Drop the events, because another attempt would not help.
    Final,
    /// Try again later, because the server is unavailable or the disk is full.
    Retryable,
    /// Find the event that can never be stored, by writing smaller batches, and drop only that one.
    Rejected,
    /// Drop as many events as the destination [rejected](super::WriteError::partly_rejected), and write none again,
    /// because it accepted the others.
    PartlyRejected,
}
