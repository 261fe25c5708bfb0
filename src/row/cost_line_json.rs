//! Cost lines as the JSON of a column.

use serde_json::{Value, json};

use crate::usage::{CostLine, Money, Unit};

/// Returns lines as a JSON array.
pub(super) fn write(lines: &[CostLine]) -> String {
    let lines = lines
        .iter()
        .map(|line| json!({"unit": line.unit.as_str(), "quantity": line.quantity, "cost_nanos": line.cost.nano_usd()}));
    Value::Array(lines.collect()).to_string()
}

/// Reads what [`write`] returns. The database may have changed the order of members.
pub(super) fn read(text: &str) -> Option<Vec<CostLine>> {
    let lines: Vec<Value> = serde_json::from_str(text).ok()?;
    lines.iter().map(line).collect()
}

fn line(value: &Value) -> Option<CostLine> {
    let number = |name: &str| value.get(name)?.as_u64();
    let unit = Unit::from_name(value.get("unit")?.as_str()?)?;
    Some(CostLine::new(unit, number("quantity")?, Money::from_nano_usd(number("cost_nanos")?)))
}
