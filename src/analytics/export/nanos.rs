use crate::row::SCHEMA;

/// Returns the name of the column in US dollars that is computed from a column.
pub(super) fn dollars_name(column: &str) -> Option<&'static str> {
    let name = column.strip_suffix("_nanos")?;
    SCHEMA.iter().find(|other| other.is_generated() && other.name == name).map(|other| other.name)
}

/// Formats an amount in nano-dollars as US dollars with nine decimals.
pub(super) fn dollars_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}
