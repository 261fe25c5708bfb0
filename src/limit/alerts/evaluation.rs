use super::{alert::Alert, alert_error::AlertError};

/// The result of an [evaluation](super::Alerts::evaluate_at).
#[must_use = "an evaluation reports what could not be evaluated"]
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Evaluation {
    /// The alerts that this process raised. Alerts that were raised before, or by another process, are not part of it.
    pub raised: Vec<Alert>,
    /// The reasons why rules were not evaluated. They are evaluated again with the next evaluation.
    pub errors: Vec<AlertError>,
}
