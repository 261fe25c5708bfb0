//! The costs of stored requests by other prices, at another time, or with another model.

mod not_repriced;
mod reprice_options;
mod reprice_rows;
mod repriced;
mod repriced_sums;

pub use self::{
    not_repriced::NotRepriced,
    reprice_options::RepriceOptions,
    reprice_rows::reprice,
    repriced::{Repriced, RepricedGroup},
    repriced_sums::RepricedSums,
};
