use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use uuid::Uuid;

use crate::{
    sync::lock,
    time::{after, signed_micros},
};

use super::{
    super::{
        LedgerError, LedgerStatus,
        backend::{Adjustment, Backend, Check, CheckKind, Reply, Reservation, Reserved, Settlement, SlotUsage},
    },
    loans::{Loans, Need, Release, Returned},
};

/// The time for which requests take from a loan. Then the rest is returned.
pub(in super::super) const USABLE: Duration = Duration::from_secs(10);

/// Takes budgets with a chunk from amounts that this process has borrowed from another ledger.
///
/// Only reservations are served from a loan. Settlements go to the ledger as they are, each with its id and time. So nothing
/// that was used is lost with a process, and the ledger counts too much rather than too little: what it holds back from other
/// processes is at most a chunk for each process, and for each part of a budget of which requests still run.
///
/// If the ledger does not lend a chunk, because the budget is nearly exhausted, a request reserves what it needs itself. A
/// loan that is old is returned with the next call, and so is one of which it is not known whether the ledger has it. If there
/// is no call, it ends with its lease.
pub(in super::super) struct Chunked {
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Box<dyn Backend>,
    loans: Mutex<Loans>,
    usable: Duration,
    /// How long a request waits for all calls of the ledger.
    patience: Duration,
}

impl Chunked {
    pub(in super::super) fn new(ledger: impl Backend, usable: Duration, patience: Duration) -> Self {
        let (ledger, loans) = (Box::new(ledger), Mutex::default());
        Self { shared: Arc::new(Shared { ledger, loans, usable, patience }) }
    }
}

/// A reservation without borrowed text.
struct Request {
    id: Uuid,
    lease: Duration,
    text: String,
    checks: Vec<Check>,
    /// The parts that are taken from loans.
    needs: Vec<Need>,
    /// When all calls of the ledger have to end.
    deadline: Instant,
}

/// Which checks are reserved in the ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checks {
    All,
    WithoutLoans,
}

impl Request {
    fn new(reservation: &Reservation<'_>, deadline: Instant) -> Self {
        let need = |check: &Check| match check.kind {
            CheckKind::Budget { slot, amount, chunk, .. } if chunk > 0 => {
                Some(Need { part: (reservation.series(check).to_owned(), slot), amount })
            }
            _ => None,
        };
        Self {
            id: reservation.id,
            lease: reservation.lease,
            text: reservation.text.to_owned(),
            needs: reservation.checks.iter().filter_map(need).collect(),
            checks: reservation.checks.to_vec(),
            deadline,
        }
    }

    /// Returns the check that a need comes from.
    fn check_of(&self, need: &Need) -> Option<&Check> {
        self.checks.iter().find(|check| {
            let is_part =
                matches!(check.kind, CheckKind::Budget { slot, chunk, .. } if chunk > 0 && slot == need.part.1);
            is_part && self.text.get(check.series.clone()) == Some(need.part.0.as_str())
        })
    }
}

fn has_chunk(check: &Check) -> bool {
    matches!(check.kind, CheckKind::Budget { chunk, .. } if chunk > 0)
}

impl Shared {
    /// Reserves in the ledger.
    fn reserve(&self, request: &Request, checks: Checks) -> Reply<Reserved> {
        let is_wanted = |check: &&Check| checks == Checks::All || !has_chunk(check);
        let checks: Vec<Check> = request.checks.iter().filter(is_wanted).cloned().collect();
        let Request { id, lease, text, .. } = request;
        let reservation = Reservation { id: *id, lease: *lease, text, checks: &checks, wants_states: false };
        self.ledger.reserve_until(&reservation, request.deadline)
    }

    /// Takes from loans. Borrows what is missing, at most once for each check.
    async fn take(&self, request: &Request) -> bool {
        for _ in 0..=request.needs.len() {
            let missing = {
                let mut loans = lock(&self.loans);
                let taken = loans.take(request.id, &request.needs, request.lease, Instant::now());
                let Err(need) = taken else { return true };
                if !loans.start_borrowing(&need.part) {
                    return false;
                }
                need
            };
            let _borrowing = Borrowing { shared: self, need: missing };
            if !self.borrow(request, missing).await {
                return false;
            }
        }
        false
    }

    /// Reserves a chunk in the ledger.
    async fn borrow(&self, request: &Request, need: &Need) -> bool {
        let Some(check) = request.check_of(need) else { return false };
        let CheckKind::Budget { from, slot, keep_until, limit, chunk, .. } = check.kind else { return false };
        let (id, now, amount) = (Uuid::new_v4(), Instant::now(), chunk.max(need.amount));
        // Everything that is taken from the loan ends before the loan.
        let lease = request.lease.saturating_add(self.usable);
        let kind = CheckKind::Budget { from, slot, keep_until, amount, limit, chunk: 0 };
        let checks = [Check { series: check.series.clone(), is_enforced: true, rule: check.rule, kind }];
        let reservation = Reservation { id, lease, text: &request.text, checks: &checks, wants_states: false };
        let ends = after(now, lease);
        let is_lent = match self.ledger.reserve_until(&reservation, request.deadline) {
            Reply::Now(reserved) => reserved,
            Reply::Later(reply) => {
                let mut unknown = Unknown { shared: self, loan: Some(Returned { id, ends }) };
                let reserved = reply.await;
                if reserved.is_ok() {
                    unknown.loan = None;
                }
                reserved
            }
        };
        let is_lent = is_lent.is_ok_and(|reserved| reserved.is_admitted);
        if is_lent {
            lock(&self.loans).lend(id, need.part.clone(), amount, after(now, self.usable), ends);
        }
        is_lent
    }

    /// Reserves from loans, and what has no chunk in the ledger.
    async fn reserve_with_loans(&self, request: &Request) -> Result<Reserved, LedgerError> {
        if self.take(request).await {
            if request.checks.iter().all(has_chunk) {
                return Ok(Reserved { is_admitted: true, states: Vec::new() });
            }
            let result = {
                let mut taken = Taken { shared: self, id: Some(request.id) };
                let result = self.reserve(request, Checks::WithoutLoans).wait().await;
                if result.as_ref().is_ok_and(|reserved| reserved.is_admitted) {
                    taken.id = None;
                }
                result
            };
            if result.as_ref().map_or(true, |reserved| reserved.is_admitted) {
                // If the result is unknown, another attempt with this id would count as a repetition.
                return result;
            }
        }
        // Also if it is rejected, because the states of all checks are needed.
        self.reserve(request, Checks::All).wait().await
    }

    /// Sends back the loans that are not needed any more. The answer does not matter: loans also end with their lease.
    fn send_back(&self) {
        let unused = lock(&self.loans).remove_unused(Instant::now());
        if unused.is_empty() {
            return;
        }
        let reply = self.ledger.settle(settlements_of(&unused));
        if matches!(reply, Reply::Now(Err(_))) {
            lock(&self.loans).keep(unused, Instant::now());
        }
    }

    /// Releases what requests held, now that the ledger has their settlements. If it has not, they are sent again, and hold what
    /// they did until then.
    fn settled(&self, releases: Vec<Release>, returned: Vec<Returned>, has_settled: bool) {
        if !has_settled {
            return lock(&self.loans).keep(returned, Instant::now());
        }
        {
            let mut loans = lock(&self.loans);
            releases.into_iter().for_each(|release| loans.release(release));
        }
        self.send_back();
    }
}

/// Returns the settlements that release loans.
fn settlements_of(loans: &[Returned]) -> Vec<Settlement> {
    let time = signed_micros(SystemTime::now());
    loans.iter().map(|loan| Settlement { id: loan.id, time, charges: Vec::new(), rates: Vec::new() }).collect()
}

/// Returns a loan if the request is dropped, or the answer of the ledger is unknown.
struct Unknown<'s> {
    shared: &'s Shared,
    loan: Option<Returned>,
}

impl Drop for Unknown<'_> {
    fn drop(&mut self) {
        if let Some(loan) = self.loan {
            lock(&self.shared.loans).return_unknown(loan);
            self.shared.send_back();
        }
    }
}

/// Ends borrowing, also if the request is dropped.
struct Borrowing<'s> {
    shared: &'s Shared,
    need: &'s Need,
}

impl Drop for Borrowing<'_> {
    fn drop(&mut self) {
        lock(&self.shared.loans).end_borrowing(&self.need.part);
    }
}

/// Gives back what a request took from loans, unless it is let through.
struct Taken<'s> {
    shared: &'s Shared,
    id: Option<Uuid>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            lock(&self.shared.loans).cancel(id);
        }
    }
}

impl Backend for Chunked {
    fn reserve(&self, reservation: &Reservation<'_>) -> Reply<Reserved> {
        // States are those of the ledger.
        if reservation.wants_states || !reservation.checks.iter().any(has_chunk) {
            return self.shared.ledger.reserve(reservation);
        }
        self.shared.send_back();
        let request = Request::new(reservation, after(Instant::now(), self.shared.patience));
        {
            let mut loans = lock(&self.shared.loans);
            let Request { id, needs, lease, .. } = &request;
            let is_alone = reservation.checks.iter().all(has_chunk);
            if loans.knows(*id) || (is_alone && loans.take(*id, needs, *lease, Instant::now()).is_ok()) {
                return Reply::Now(Ok(Reserved { is_admitted: true, states: Vec::new() }));
            }
        }
        let shared = Arc::clone(&self.shared);
        Reply::Later(Box::pin(async move { shared.reserve_with_loans(&request).await }))
    }

    fn settle(&self, mut settlements: Vec<Settlement>) -> Reply<()> {
        let (releases, returned) = {
            let mut loans = lock(&self.shared.loans);
            let releases: Vec<_> = settlements.iter().filter_map(|settlement| loans.release_of(settlement)).collect();
            (releases, loans.remove_unused(Instant::now()))
        };
        settlements.extend(settlements_of(&returned));
        let reply = self.shared.ledger.settle(settlements);
        if releases.is_empty() && returned.is_empty() {
            return reply;
        }
        match reply {
            Reply::Now(result) => {
                self.shared.settled(releases, returned, result.is_ok());
                Reply::Now(result)
            }
            Reply::Later(reply) => {
                let shared = Arc::clone(&self.shared);
                Reply::Later(Box::pin(async move {
                    let result = reply.await;
                    shared.settled(releases, returned, result.is_ok());
                    result
                }))
            }
        }
    }

    fn extend(&self, mut ids: Vec<Uuid>, lease: Duration) -> Reply<()> {
        let loans = lock(&self.shared.loans).extend(&ids, lease, Instant::now());
        ids.extend(loans);
        self.shared.ledger.extend(ids, lease)
    }

    fn scan(&self, prefix: &str, after: &str, from_slot: i64, limit: usize) -> Reply<Vec<SlotUsage>> {
        self.shared.send_back();
        self.shared.ledger.scan(prefix, after, from_slot, limit)
    }

    fn settled_before(&self, slots: Vec<(String, i64)>, before: i64) -> Reply<Vec<i64>> {
        self.shared.ledger.settled_before(slots, before)
    }

    fn adjust(&self, changes: Vec<Adjustment>) -> Reply<()> {
        self.shared.ledger.adjust(changes)
    }

    fn status(&self) -> LedgerStatus {
        self.shared.ledger.status()
    }
}
