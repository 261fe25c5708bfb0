//! The classes of colors, and the text of places.

/// The number of colors of series. Further series share the color of "Other".
pub(crate) const COLORS: usize = 8;

/// Returns the class of the color of a series.
pub(crate) fn color(series: usize) -> &'static str {
    const CLASSES: [&str; COLORS] = ["f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8"];
    CLASSES.get(series).copied().unwrap_or("fo")
}

/// Returns the class of the color of a line.
pub(crate) fn line_color(series: usize) -> &'static str {
    const CLASSES: [&str; COLORS] = ["l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8"];
    CLASSES.get(series).copied().unwrap_or("lo")
}

/// Formats a coordinate.
pub(super) fn place(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
