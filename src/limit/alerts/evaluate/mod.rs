//! The evaluation of each trigger.

mod anomaly;
mod burn_rate;
mod coverage;
mod drift;
mod evaluate;
mod full_window;
mod sink_loss;
mod spoofing;
mod statistics;
mod thresholds;
mod unpriced;
mod watch;

pub(super) use self::{
    evaluate::evaluate,
    thresholds::{is_named, stored_amounts},
    watch::{Found, Watch},
};
