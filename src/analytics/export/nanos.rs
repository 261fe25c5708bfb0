use crate::row::SCHEMA;

/// Returns the name of the column in US dollars that is computed from a column.
pub(super) fn dollars_name(column: &str) -> Option<&'static str> {
    let name = column.strip_suffix("_nanos")?;
    SCHEMA.iter().find(|other| other.is_generated() && other.name == name).map(|other| other.name)
}
