//! The answers to requests that are rejected, and the headers that report quotas.

mod answer;
mod standing;

pub(super) use self::{
    answer::{Answer, missing, unavailable, unpriced},
    standing::Standing,
};
