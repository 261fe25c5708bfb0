//! Amounts that a process borrows from a ledger on a server, so that most requests take from it without a round trip.

mod chunked;
mod loans;

pub(super) use self::chunked::{Chunked, USABLE};
