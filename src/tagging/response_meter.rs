/// Follows a response body, and decides when it is cut off.
pub trait ResponseMeter: Send + Sync {
    /// Reads the next part of the body. Returns the reason if the body ends before this part.
    ///
    /// The client then receives the parts before it. The outcome of the event is
    /// [`Failed`](crate::event::Outcome::Failed), and its error is the reason, such as `budget_cut`.
    fn read(&mut self, data: &[u8]) -> Option<&'static str>;
}
