//! Sums of requests by time and value, from which queries are answered.
//!
//! Writers add each inserted row to the sums in the same transaction. Sums are kept for *subjects*: all requests, a dimension,
//! or a pair of dimensions, each by workspace. A request without a value counts under *unset*, so that the sums of a
//! dimension add up to the total. Each subject has a live [`Tier`], which writers fill, and coarser tiers, which are folded
//! once their buckets are over. A late request is added to every tier that covers its time.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod build;
mod histogram;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod pace;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod reads;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod remove;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rollup_batch;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rollup_key;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rollup_state;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod seal;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod session;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod subject;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sum_column;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod tier;
mod totals;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod value;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod verify;

pub(crate) use self::histogram::Histogram;
pub use self::totals::Totals;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use self::{
    build::{activate, build_rest, deactivate, ensure, quarter_after},
    reads::{FoundSums, Next, OnRow, RowRead, Span, SumRead},
    rollup_batch::RollupBatch,
    rollup_key::RollupKey,
    rollup_state::RollupState,
    seal::{KeptFrom, maintain},
    session::{RollupSession, Transaction},
    subject::{BUILT, Subject},
    sum_column::SumColumn,
    tier::{Tier, quarter_of, quarter_start},
    value::{decode, encode, encode_into},
    verify::{rebuild, verify},
};
