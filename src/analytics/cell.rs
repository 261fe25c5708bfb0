use serde::{Serialize, Serializer};

use crate::store::Totals;

use super::{Amount, FeedbackTotals};

/// The sums of a set of requests, and the measures of the query.
///
/// Serializes as the list of its values.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Cell {
    /// The values of the measures, in the order of the query. `None` if a value is unknown, such as the rate of no requests.
    pub values: Vec<Option<Amount>>,
    /// All sums, also those that the query did not ask for.
    ///
    /// Distributions are available if the query has a measure that needs them.
    pub totals: Totals,
    /// The feedback on the requests, if the query has a measure of feedback.
    pub feedback: FeedbackTotals,
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.values.serialize(serializer)
    }
}
