use crate::store::{LatestFeedback, StoreError};

use super::{FoundSums, OnRow, RollupBatch, RollupState, RowRead, Subject, SumRead, Tier};

/// The kind of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    /// Reads a state that does not change meanwhile.
    Snapshot,
    /// Changes sums. No writer stores rows meanwhile.
    Exclusive,
}

/// A connection to a database with rows and sums.
///
/// Everything that is not SQL is written once, on top of this trait. A session that is dropped within a transaction rolls it
/// back.
pub(crate) trait RollupSession: Send {
    fn begin(&mut self, transaction: Transaction) -> impl Future<Output = Result<(), StoreError>> + Send;

    fn commit(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    fn state(&mut self) -> impl Future<Output = Result<RollupState, StoreError>> + Send;

    /// Reads stored sums.
    fn sums(&mut self, read: &SumRead) -> impl Future<Output = Result<Vec<FoundSums>, StoreError>> + Send;

    /// Reads rows, one by one.
    fn rows(&mut self, read: &RowRead, on_row: &mut OnRow<'_>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns the time of the first row at or after a time, in microseconds since 1970.
    fn first_row(&mut self, from: u64) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    /// Returns the time of the last row.
    fn last_row(&mut self) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    /// Returns the latest feedback of some workspaces and without one, at most `limit` entries. `None` means all workspaces.
    fn feedback(
        &mut self,
        workspaces: Option<&[String]>,
        limit: u64,
    ) -> impl Future<Output = Result<LatestFeedback, StoreError>> + Send;

    /// Returns the first bucket of a tier with sums, from a bucket on.
    fn first_bucket(
        &mut self,
        subject: i32,
        tier: Tier,
        from: i64,
    ) -> impl Future<Output = Result<Option<i64>, StoreError>> + Send;

    /// Adds sums to the stored ones.
    fn add(&mut self, batch: &RollupBatch) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Inserts or updates a subject.
    fn save(&mut self, subject: &Subject) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes a subject with its sums.
    fn forget(&mut self, subject: i32) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes the sums of the buckets `from..to`.
    fn remove(
        &mut self,
        subject: i32,
        tier: Tier,
        from: i64,
        to: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds up the sums of a finer tier to the buckets `from..to` of a coarser one.
    fn fold(
        &mut self,
        subject: i32,
        finer: Tier,
        coarser: Tier,
        from: i64,
        to: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
