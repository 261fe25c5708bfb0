use std::{
    collections::{BTreeSet, HashMap, HashSet},
    mem,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::time::after;

use super::super::backend::Settlement;

/// How long loans are kept after the ledger did not accept them.
const BETWEEN_RETURNS: Duration = Duration::from_secs(1);

/// A part of a budget: a series and a slot.
pub(super) type Part = (String, i64);

/// The amount that a request takes from a part.
#[derive(Clone, Debug)]
pub(super) struct Need {
    pub(super) part: Part,
    pub(super) amount: i64,
}

/// The amounts that this process has borrowed, and the requests that hold them.
///
/// A loan is a reservation in the ledger. What requests used of it is not returned to it: their settlements count in the ledger
/// on their own. So the ledger counts at least what was used, and a loan is released when no request holds a part of it and it
/// is used up or old.
///
/// All methods take a time that depends on what changes, not on the number of loans and requests.
#[derive(Default)]
pub(super) struct Loans {
    lent: HashMap<Uuid, Loan>,
    /// The loans that requests take from.
    current: HashMap<Part, Uuid>,
    /// The parts for which a loan is on its way.
    borrowing: HashSet<Part>,
    holds: HashMap<Uuid, Hold>,
    /// The ends of all holds.
    ends: BTreeSet<(Instant, Uuid)>,
    /// When loans get old that are not old yet.
    ages: BTreeSet<(Instant, Uuid)>,
    /// The loans that go back to the ledger.
    unused: Vec<Returned>,
    /// The ledger is not asked to take loans back before.
    next_return: Option<Instant>,
}

struct Loan {
    part: Part,
    free: i64,
    held: i64,
    /// When it is no longer taken from.
    until: Instant,
    is_old: bool,
    /// The end of its lease in the ledger.
    ends: Instant,
}

struct Hold {
    ends: Instant,
    /// Loans with amounts.
    taken: Vec<(Uuid, i64)>,
}

/// A loan that is not needed any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Returned {
    pub(super) id: Uuid,
    /// The end of its lease, after which it need not be returned.
    pub(super) ends: Instant,
}

/// The reservations that are released once the ledger has a settlement.
#[derive(Debug)]
pub(super) struct Release {
    id: Uuid,
    /// Loans with what is held and what is free again.
    parts: Vec<(Uuid, i64, i64)>,
}

impl Loans {
    /// Returns `true` if the request holds something.
    pub(super) fn knows(&self, id: Uuid) -> bool {
        self.holds.contains_key(&id)
    }

    /// Takes everything that a request needs from loans. Repeating it takes nothing.
    ///
    /// # Errors
    ///
    /// Takes nothing, and returns the first need that no loan covers.
    pub(super) fn take<'n>(
        &mut self,
        id: Uuid,
        needs: &'n [Need],
        lease: Duration,
        now: Instant,
    ) -> Result<(), &'n Need> {
        if self.knows(id) {
            return Ok(());
        }
        let ends = after(now, lease);
        let mut taken: Vec<(Uuid, i64)> = Vec::with_capacity(needs.len());
        let missing = needs.iter().find(|need| {
            let covering = self.current.get(&need.part).copied();
            let loan = covering.and_then(|id| Some((id, self.lent.get_mut(&id)?)));
            let loan = loan.filter(|(_, loan)| now < loan.until && ends <= loan.ends && need.amount <= loan.free);
            let Some((id, loan)) = loan else { return true };
            loan.free -= need.amount;
            loan.held = loan.held.saturating_add(need.amount);
            taken.push((id, need.amount));
            false
        });
        if let Some(missing) = missing {
            self.give_back(taken.iter().map(|(id, amount)| (*id, *amount, *amount)));
            return Err(missing);
        }
        self.ends.insert((ends, id));
        self.holds.insert(id, Hold { ends, taken });
        Ok(())
    }

    /// Lowers what is held of loans, and adds what is free again.
    fn give_back(&mut self, parts: impl Iterator<Item = (Uuid, i64, i64)>) {
        for (id, held, free) in parts {
            if let Some(loan) = self.lent.get_mut(&id) {
                loan.held -= held;
                loan.free = loan.free.saturating_add(free);
                self.return_if_unused(id);
            }
        }
    }

    fn remove_hold(&mut self, id: Uuid) -> Option<Hold> {
        let hold = self.holds.remove(&id)?;
        self.ends.remove(&(hold.ends, id));
        Some(hold)
    }

    /// Gives back what a request took, because it is not let through.
    pub(super) fn cancel(&mut self, id: Uuid) {
        if let Some(hold) = self.remove_hold(id) {
            self.give_back(hold.taken.into_iter().map(|(id, amount)| (id, amount, amount)));
        }
    }

    /// Returns `true` if a loan for a part may be requested. One at a time.
    pub(super) fn start_borrowing(&mut self, part: &Part) -> bool {
        self.borrowing.insert(part.clone())
    }

    pub(super) fn end_borrowing(&mut self, part: &Part) {
        self.borrowing.remove(part);
    }

    /// Adds a loan, which replaces the one that requests took from.
    pub(super) fn lend(&mut self, id: Uuid, part: Part, amount: i64, until: Instant, ends: Instant) {
        let replaced = self.current.insert(part.clone(), id);
        self.ages.insert((until, id));
        self.lent.insert(id, Loan { part, free: amount, held: 0, until, is_old: false, ends });
        if let Some(replaced) = replaced {
            self.return_if_unused(replaced);
        }
    }

    /// Returns what a settlement releases, once the ledger has it. What its request did not use is free again then.
    pub(super) fn release_of(&self, settlement: &Settlement) -> Option<Release> {
        let hold = self.holds.get(&settlement.id)?;
        let part = |(id, amount): &(Uuid, i64)| {
            let loan = self.lent.get(id)?;
            let charges = settlement.charges.iter();
            let of_loan = charges.filter(|charge| charge.series == loan.part.0 && charge.slot == loan.part.1);
            let used = of_loan.fold(0_i64, |sum, charge| sum.saturating_add(charge.amount));
            Some((*id, *amount, amount.saturating_sub(used).max(0)))
        };
        Some(Release { id: settlement.id, parts: hold.taken.iter().filter_map(part).collect() })
    }

    /// Releases what a request holds. Repeating it has no effect.
    pub(super) fn release(&mut self, release: Release) {
        if self.remove_hold(release.id).is_some() {
            self.give_back(release.parts.into_iter());
        }
    }

    /// Extends what requests hold. Returns the loans whose leases have to be extended as well.
    pub(super) fn extend(&mut self, ids: &[Uuid], lease: Duration, now: Instant) -> Vec<Uuid> {
        let ends = after(now, lease);
        let mut extended = HashSet::new();
        for id in ids {
            let Some(hold) = self.holds.get_mut(id).filter(|hold| now < hold.ends) else { continue };
            self.ends.remove(&(hold.ends, *id));
            hold.ends = hold.ends.max(ends);
            self.ends.insert((hold.ends, *id));
            for (id, _) in &hold.taken {
                if let Some(loan) = self.lent.get_mut(id) {
                    loan.ends = loan.ends.max(ends);
                    extended.insert(*id);
                }
            }
        }
        extended.into_iter().collect()
    }

    /// Removes a loan that is old, used up, or replaced, and of which no request holds a part.
    fn return_if_unused(&mut self, id: Uuid) {
        let Some(loan) = self.lent.get(&id) else { return };
        let is_current = self.current.get(&loan.part) == Some(&id);
        if loan.held > 0 || (is_current && !loan.is_old && loan.free > 0) {
            return;
        }
        if is_current {
            self.current.remove(&loan.part);
        }
        self.ages.remove(&(loan.until, id));
        self.unused.push(Returned { id, ends: loan.ends });
        self.lent.remove(&id);
    }

    /// Ends the holds whose leases have ended.
    fn expire(&mut self, now: Instant) {
        while let Some((end, id)) = self.ends.first().copied()
            && end <= now
        {
            self.cancel(id);
        }
        while let Some((until, id)) = self.ages.first().copied()
            && until <= now
        {
            self.ages.pop_first();
            if let Some(loan) = self.lent.get_mut(&id) {
                loan.is_old = true;
                self.return_if_unused(id);
            }
        }
    }

    /// Removes the loans that are not needed any more.
    pub(super) fn remove_unused(&mut self, now: Instant) -> Vec<Returned> {
        self.expire(now);
        if self.unused.is_empty() || self.next_return.is_some_and(|next| now < next) {
            return Vec::new();
        }
        self.next_return = None;
        let mut unused = mem::take(&mut self.unused);
        unused.retain(|loan| now < loan.ends);
        unused
    }

    /// Adds a loan of which it is not known whether the ledger has it.
    pub(super) fn return_unknown(&mut self, loan: Returned) {
        self.unused.push(loan);
    }

    /// Keeps loans that the ledger did not take back, for a later attempt.
    pub(super) fn keep(&mut self, loans: Vec<Returned>, now: Instant) {
        if !loans.is_empty() {
            self.unused.extend(loans);
            self.next_return = Some(after(now, BETWEEN_RETURNS));
        }
    }
}
