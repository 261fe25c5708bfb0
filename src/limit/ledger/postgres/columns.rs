//! Lists of values as the parameters of functions.

use uuid::Uuid;

use super::super::{
    backend::{CheckKind, Settlement},
    remote::OwnedReservation,
};

/// The parameters of `reserve`.
#[derive(Default)]
pub(super) struct Reservations<'a> {
    pub(super) ids: Vec<Uuid>,
    pub(super) leases: Vec<i64>,
    /// The number of the reservation of a check, from 1.
    pub(super) owners: Vec<i32>,
    pub(super) names: Vec<&'a str>,
    pub(super) enforced: Vec<bool>,
    pub(super) kinds: Vec<i16>,
    pub(super) froms: Vec<i64>,
    pub(super) slots: Vec<i64>,
    pub(super) keeps: Vec<i64>,
    pub(super) amounts: Vec<i64>,
    pub(super) limits: Vec<i64>,
}

impl<'a> Reservations<'a> {
    pub(super) fn new(reservations: &'a [OwnedReservation]) -> Self {
        let mut columns = Self::default();
        for (owner, reservation) in (1..).zip(reservations) {
            columns.ids.push(reservation.id);
            columns.leases.push(reservation.lease);
            for check in &reservation.checks {
                columns.owners.push(owner);
                columns.names.push(reservation.series(check));
                columns.enforced.push(check.is_enforced);
                columns.push(&check.kind);
            }
        }
        columns
    }

    fn push(&mut self, kind: &CheckKind) {
        let (kind, numbers) = match *kind {
            CheckKind::Budget { from, slot, keep_until, amount, limit, .. } => {
                (0, [from, slot, keep_until, amount, limit])
            }
            CheckKind::Rate { increment, tolerance } => (1, [0, 0, 0, increment, tolerance]),
            CheckKind::Concurrency { limit } => (2, [0, 0, 0, 1, limit]),
        };
        self.kinds.push(kind);
        let columns = [&mut self.froms, &mut self.slots, &mut self.keeps, &mut self.amounts, &mut self.limits];
        columns.into_iter().zip(numbers).for_each(|(column, number)| column.push(number));
    }
}

/// The parameters of `settle`.
#[derive(Default)]
pub(super) struct Settlements<'a> {
    pub(super) ids: Vec<Uuid>,
    pub(super) times: Vec<i64>,
    /// The number of the settlement of a charge, from 1.
    pub(super) owners: Vec<i32>,
    pub(super) names: Vec<&'a str>,
    pub(super) slots: Vec<i64>,
    pub(super) keeps: Vec<i64>,
    pub(super) amounts: Vec<i64>,
    pub(super) rate_owners: Vec<i32>,
    pub(super) rate_names: Vec<&'a str>,
    pub(super) rate_micros: Vec<i64>,
}

impl<'a> Settlements<'a> {
    pub(super) fn new(settlements: &'a [Settlement]) -> Self {
        let mut columns = Self::default();
        for (owner, settlement) in (1..).zip(settlements) {
            columns.ids.push(settlement.id);
            columns.times.push(settlement.time);
            for charge in &settlement.charges {
                columns.owners.push(owner);
                columns.names.push(&charge.series);
                columns.slots.push(charge.slot);
                columns.keeps.push(charge.keep_until);
                columns.amounts.push(charge.amount);
            }
            for rate in &settlement.rates {
                columns.rate_owners.push(owner);
                columns.rate_names.push(&rate.series);
                columns.rate_micros.push(rate.micros);
            }
        }
        columns
    }
}
