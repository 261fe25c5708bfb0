//! Charts as SVG. Templates write them; all geometry is computed here.

mod bar_chart;
mod scale;
mod sparkline;

pub(crate) use self::{
    bar_chart::{BarChart, BarInput},
    scale::{Scale, Unit},
    sparkline::Sparkline,
};

/// The number of colors of series. Further series share the color of "Other".
pub(crate) const COLORS: usize = 8;

/// Returns the class of the color of a series.
pub(crate) fn color(series: usize) -> &'static str {
    const CLASSES: [&str; COLORS] = ["f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8"];
    CLASSES.get(series).copied().unwrap_or("fo")
}

/// Formats a coordinate.
fn place(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
