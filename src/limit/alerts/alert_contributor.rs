use serde::{Deserialize, Serialize};

use super::alert_value::AlertValue;

/// A value that explains a part of what an alert reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AlertContributor {
    /// The property and its value.
    #[serde(flatten)]
    pub value: AlertValue,
    /// The amount that requests with the value caused, in the unit of the alert or, for a share, in requests.
    pub amount: f64,
    /// The amount that requests with the value usually cause at this time. `None` if it is not compared.
    pub usual: Option<f64>,
}
