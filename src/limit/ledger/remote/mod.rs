//! The part that ledgers on servers have in common: a thread with its own runtime, on which lanes send what waits together.

mod circuit;
mod driver;
mod fault;
mod health;
mod job;
mod lane;
mod maintenance;
mod remote_ledger;
mod unanswered;

pub(super) use self::{
    driver::{Done, Driver, OwnedReservation, Work},
    fault::Fault,
    remote_ledger::RemoteLedger,
};
