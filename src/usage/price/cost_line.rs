use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use crate::usage::{money::Money, unit::Unit};

/// The cost of one kind of usage: a quantity at one price.
///
/// The kinds of the lines of a call are disjoint, unlike the counts of a [`Usage`](crate::usage::Usage). A line of
/// [`InputTokens`](Unit::InputTokens) covers the input that has no line of its own: neither cache reads, nor cache writes,
/// nor audio that is billed at its own rate. Reasoning is part of the output tokens unless it has its own rate.
///
/// Serializes as an object with the members `unit`, `quantity`, and `cost_usd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CostLine {
    /// The kind of usage.
    pub unit: Unit,
    /// The billed quantity of this kind.
    pub quantity: u64,
    /// The cost of the quantity.
    pub cost: Money,
}

impl CostLine {
    /// Creates a line.
    pub const fn new(unit: Unit, quantity: u64, cost: Money) -> Self {
        Self { unit, quantity, cost }
    }

    /// Reads the JSON that `Serialize` writes.
    pub(in crate::usage) fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            unit: Unit::from_name(value.get("unit")?.as_str()?)?,
            quantity: value.get("quantity")?.as_u64()?,
            cost: Money::from_usd(value.get("cost_usd")?.as_f64()?)?,
        })
    }
}

impl Serialize for CostLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("CostLine", 3)?;
        object.serialize_field("unit", self.unit.as_str())?;
        object.serialize_field("quantity", &self.quantity)?;
        object.serialize_field("cost_usd", &self.cost)?;
        object.end()
    }
}
