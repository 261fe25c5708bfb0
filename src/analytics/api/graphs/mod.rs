//! Time series and totals: `/analytics/graphs/…` and `/analytics/summary/…`.

pub(super) mod cache;
pub(super) mod errors;
pub(super) mod feedback;
pub(super) mod shapes;
pub(super) mod users;
pub(super) mod volume;
