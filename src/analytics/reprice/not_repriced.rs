use serde::Serialize;

/// The reason why a request has no new cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotRepriced {
    /// The usage is unknown, or only a part of it is known.
    UsageUnknown,
    /// The model is unknown.
    ModelUnknown,
    /// Several calls were rolled up to the request. The row has only the sum of their usage.
    SeveralCalls,
    /// Code recorded a cost in addition to the usage.
    RecordedCost,
    /// The new prices have no price for the model.
    NoPrice,
}
