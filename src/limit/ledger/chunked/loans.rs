use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::time::after;

use super::super::backend::Settlement;

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
#[derive(Default)]
pub(super) struct Loans {
    lent: HashMap<Uuid, Loan>,
    /// The loans that requests take from.
    current: HashMap<Part, Uuid>,
    /// The parts for which a loan is on its way.
    borrowing: HashSet<Part>,
    holds: HashMap<Uuid, Hold>,
}

struct Loan {
    part: Part,
    free: i64,
    held: i64,
    /// When it is no longer taken from.
    until: Instant,
    /// The end of its lease in the ledger.
    ends: Instant,
}

struct Hold {
    ends: Instant,
    /// Loans with amounts.
    taken: Vec<(Uuid, i64)>,
}

impl Loans {
    /// Returns `true` if the request holds something.
    pub(super) fn knows(&self, id: Uuid) -> bool {
        self.holds.contains_key(&id)
    }

    /// Takes everything that a request needs from loans.
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
            self.give_back(&taken);
            return Err(missing);
        }
        self.holds.insert(id, Hold { ends, taken });
        Ok(())
    }

    fn give_back(&mut self, taken: &[(Uuid, i64)]) {
        for (id, amount) in taken {
            if let Some(loan) = self.lent.get_mut(id) {
                loan.held -= amount;
                loan.free = loan.free.saturating_add(*amount);
            }
        }
    }

    /// Gives back what a request took, because it is not let through.
    pub(super) fn cancel(&mut self, id: Uuid) {
        if let Some(hold) = self.holds.remove(&id) {
            self.give_back(&hold.taken);
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
        self.current.insert(part.clone(), id);
        self.lent.insert(id, Loan { part, free: amount, held: 0, until, ends });
    }

    /// Releases what a request holds. What it did not use is free again.
    pub(super) fn settle(&mut self, settlement: &Settlement) {
        let Some(hold) = self.holds.remove(&settlement.id) else { return };
        for (id, amount) in hold.taken {
            let Some(loan) = self.lent.get_mut(&id) else { continue };
            let charges = settlement.charges.iter();
            let of_loan = charges.filter(|charge| charge.series == loan.part.0 && charge.slot == loan.part.1);
            let used = of_loan.fold(0_i64, |sum, charge| sum.saturating_add(charge.amount));
            loan.held -= amount;
            loan.free = loan.free.saturating_add(amount.saturating_sub(used).max(0));
        }
    }

    /// Extends what requests hold. Returns the loans whose leases have to be extended as well.
    pub(super) fn extend(&mut self, ids: &[Uuid], lease: Duration, now: Instant) -> Vec<Uuid> {
        let ends = after(now, lease);
        let mut extended = HashSet::new();
        for id in ids {
            let Some(hold) = self.holds.get_mut(id).filter(|hold| now < hold.ends) else { continue };
            hold.ends = hold.ends.max(ends);
            for (id, _) in &hold.taken {
                if let Some(loan) = self.lent.get_mut(id) {
                    loan.ends = loan.ends.max(ends);
                    extended.insert(*id);
                }
            }
        }
        extended.into_iter().collect()
    }

    /// Removes the loans that are not needed any more, and returns their ids: those that are old, used up, or replaced, and of
    /// which no request holds a part.
    pub(super) fn remove_unused(&mut self, now: Instant) -> Vec<Uuid> {
        let ended: Vec<Uuid> = self.holds.iter().filter(|(_, hold)| hold.ends <= now).map(|(id, _)| *id).collect();
        ended.into_iter().for_each(|id| self.cancel(id));
        let Self { lent, current, .. } = self;
        let is_unused = |id: &Uuid, loan: &Loan| {
            let is_current = current.get(&loan.part) == Some(id);
            loan.held <= 0 && !(is_current && now < loan.until && loan.free > 0)
        };
        let unused: Vec<Uuid> = lent.iter().filter(|(id, loan)| is_unused(id, loan)).map(|(id, _)| *id).collect();
        for id in &unused {
            if let Some(loan) = lent.remove(id)
                && current.get(&loan.part) == Some(id)
            {
                current.remove(&loan.part);
            }
        }
        unused
    }
}
