use std::time::Duration;

use uuid::Uuid;

use super::{
    super::backend::{Adjustment, Check, Reservation, Reserved, Settlement, SlotUsage},
    fault::Fault,
};

/// A reservation that can be sent to another thread.
#[derive(Clone, Debug)]
pub(in super::super) struct OwnedReservation {
    pub(in super::super) id: Uuid,
    /// In microseconds.
    pub(in super::super) lease: i64,
    text: String,
    pub(in super::super) checks: Vec<Check>,
    pub(in super::super) wants_states: bool,
}

impl OwnedReservation {
    pub(super) fn new(reservation: &Reservation<'_>, lease: i64) -> Self {
        Self {
            id: reservation.id,
            lease,
            text: reservation.text.to_owned(),
            checks: reservation.checks.to_vec(),
            wants_states: reservation.wants_states,
        }
    }

    /// Returns the series of a check.
    pub(in super::super) fn series(&self, check: &Check) -> &str {
        self.text.get(check.series.clone()).unwrap_or_default()
    }
}

/// The calls that are sent to the server at once. Settlements and extensions come before reservations, which need the room.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Work {
    pub(in super::super) settlements: Vec<Settlement>,
    /// Ids with the length of their leases, in microseconds.
    pub(in super::super) extensions: Vec<(Uuid, i64)>,
    pub(in super::super) reservations: Vec<OwnedReservation>,
}

/// The results of [`Work`].
pub(in super::super) struct Done {
    pub(in super::super) settled: Result<(), Fault>,
    pub(in super::super) extended: Result<(), Fault>,
    /// One for each reservation, in their order.
    pub(in super::super) reserved: Result<Vec<Reserved>, Fault>,
}

/// Speaks to a kind of server. All futures run on the current-thread runtime of the ledger.
pub(in super::super) trait Driver: Send + 'static {
    /// The name of the kind in errors and in the status.
    const KIND: &'static str;
    /// A connection.
    type Session;

    /// Opens a connection. The caller waits for it, and for each call, no longer than `patience`; a server that can should give up
    /// as well.
    async fn open(&self, patience: Duration) -> Result<Self::Session, Fault>;

    /// Returns `false` if the connection was lost while it was idle.
    fn is_usable(&self, session: &Self::Session) -> bool;

    async fn work(&self, session: &mut Self::Session, work: &Work) -> Done;

    /// `range` is the start of the series, and the series after which they begin.
    async fn scan(
        &self,
        session: &mut Self::Session,
        range: (&str, &str),
        from_slot: i64,
        limit: usize,
    ) -> Result<Vec<SlotUsage>, Fault>;

    async fn settled_before(
        &self,
        session: &mut Self::Session,
        slots: &[(String, i64)],
        before: i64,
    ) -> Result<Vec<i64>, Fault>;

    async fn adjust(&self, session: &mut Self::Session, changes: &[Adjustment]) -> Result<(), Fault>;

    /// Removes a part of what is not read any more. Returns `true` if there may be more.
    async fn prune(&self, session: &mut Self::Session) -> Result<bool, Fault>;
}
