use super::{
    Scale, Unit,
    colors::{color, line_color, place},
};

/// How the values of a chart are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Stacked bars, for values that add up.
    Bars,
    /// One line per series.
    Lines,
}

/// The values of one point in time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Point {
    /// The text below the axis, if there is room for it.
    pub(crate) label: String,
    /// The text that describes the values.
    pub(crate) title: String,
    /// The page that the point leads to.
    pub(crate) href: String,
    /// The values of the series. Unknown values are gaps.
    pub(crate) values: Vec<Option<f64>>,
    /// The value of the previous period.
    pub(crate) previous: Option<f64>,
}

/// The area of a point in time with its segments.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) title: String,
    pub(crate) href: String,
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) segments: Vec<Segment>,
}

/// A rectangle of a stacked bar.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) class: &'static str,
    pub(crate) y: String,
    pub(crate) height: String,
}

/// A line without gaps.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) class: &'static str,
    pub(crate) points: String,
}

/// Values over time, with a line for the previous period.
#[derive(Clone, Debug)]
pub(crate) struct TimeChart {
    /// What the chart shows, for screen readers.
    pub(crate) label: String,
    /// The positions and labels of the vertical axis.
    pub(crate) ticks: Vec<(String, String)>,
    pub(crate) bars: Vec<Bar>,
    /// The lines of the series, and those of the previous period.
    pub(crate) lines: Vec<Line>,
    /// The positions and labels of the horizontal axis.
    pub(crate) labels: Vec<(String, String)>,
}

impl TimeChart {
    const WIDTH: f64 = 1160.0;
    const LEFT: f64 = 60.0;
    const TOP: f64 = 10.0;
    const BOTTOM: f64 = 208.0;
    /// The smallest distance between labels.
    const LABEL_WIDTH: f64 = 64.0;
    /// Thin segments stay visible.
    const MIN_HEIGHT: f64 = 0.7;

    /// Draws points from left to right.
    #[allow(clippy::cast_precision_loss, reason = "there are few points")]
    pub(crate) fn new(label: impl Into<String>, shape: Shape, unit: Unit, points: Vec<Point>) -> Self {
        let highest = |point: &Point| match shape {
            Shape::Bars => point.values.iter().flatten().sum::<f64>(),
            Shape::Lines => point.values.iter().flatten().copied().fold(0.0, f64::max),
        };
        let max = points.iter().flat_map(|point| [highest(point), point.previous.unwrap_or(0.0)]).fold(0.0, f64::max);
        let scale = Scale::new(max, unit);
        let step = (Self::WIDTH - Self::LEFT) / points.len().max(1) as f64;
        let gap = (step / 8.0).clamp(0.5, 4.0);
        let every = (Self::LABEL_WIDTH / step).ceil().max(1.0);
        let left = |at: usize| Self::LEFT + at as f64 * step;
        let middle = |at: usize| left(at) + step / 2.0;

        let mut lines = Vec::new();
        if shape == Shape::Lines {
            let series = points.iter().map(|point| point.values.len()).max().unwrap_or(0);
            for at in 0..series {
                let values = points.iter().map(|point| point.values.get(at).copied().flatten());
                lines.extend(line(line_color(at), values, &scale, middle));
            }
        }
        lines.extend(line("prev", points.iter().map(|point| point.previous), &scale, middle));
        let labels = points.iter().enumerate().filter(|(at, _)| *at as f64 % every == 0.0);
        Self {
            label: label.into(),
            ticks: scale.ticks().into_iter().map(|(share, text)| (place(y(share)), text)).collect(),
            labels: labels.map(|(at, point)| (place(middle(at)), point.label.clone())).collect(),
            bars: points
                .into_iter()
                .enumerate()
                .map(|(at, point)| Bar {
                    segments: if shape == Shape::Bars { stack(&point.values, &scale) } else { Vec::new() },
                    title: point.title,
                    href: point.href,
                    x: place(left(at) + gap / 2.0),
                    width: place(step - gap),
                })
                .collect(),
            lines,
        }
    }
}

/// Returns the vertical position of a share of the height.
fn y(share: f64) -> f64 {
    TimeChart::BOTTOM - share * (TimeChart::BOTTOM - TimeChart::TOP)
}

fn stack(values: &[Option<f64>], scale: &Scale) -> Vec<Segment> {
    let mut bottom = 0.0;
    let mut segments = Vec::new();
    for (series, value) in values.iter().enumerate() {
        let Some(value) = value.filter(|value| *value > 0.0) else { continue };
        let (low, high) = (y(scale.share(bottom)), y(scale.share(bottom + value)));
        let height = (low - high).max(TimeChart::MIN_HEIGHT);
        segments.push(Segment { class: color(series), y: place(low - height), height: place(height) });
        bottom += value;
    }
    segments
}

/// Returns the parts of a line between gaps.
fn line(
    class: &'static str,
    values: impl Iterator<Item = Option<f64>>,
    scale: &Scale,
    x: impl Fn(usize) -> f64,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (at, value) in values.chain([None]).enumerate() {
        match value {
            Some(value) => points.push((x(at), y(scale.share(value)))),
            None if points.is_empty() => {}
            None => {
                // A single point is a short line.
                if let [(x, y)] = points[..] {
                    points = vec![(x - 2.0, y), (x + 2.0, y)];
                }
                let texts: Vec<String> = points.drain(..).map(|(x, y)| format!("{},{}", place(x), place(y))).collect();
                lines.push(Line { class, points: texts.join(" ") });
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Point, Shape, TimeChart, Unit};

    fn points(values: &[&[Option<f64>]]) -> Vec<Point> {
        values.iter().map(|values| Point { values: values.to_vec(), ..Point::default() }).collect()
    }

    #[test]
    fn stacks_the_values_of_a_bar_to_its_sum() {
        let chart = TimeChart::new("", Shape::Bars, Unit::Count, points(&[&[Some(3.0), None, Some(1.0)], &[]]));
        let heights: Vec<f64> = chart.bars[0].segments.iter().map(|part| part.height.parse().unwrap()).collect();
        assert_eq!(heights, [148.5, 49.5]);
        assert_eq!(chart.bars[0].segments[1].class, "f3");
        assert!(chart.bars[1].segments.is_empty() && chart.lines.is_empty());
    }

    #[test]
    fn draws_unknown_values_as_gaps_of_lines() {
        let values: [&[Option<f64>]; 4] = [&[Some(1.0)], &[None], &[Some(1.0)], &[Some(0.0)]];
        let chart = TimeChart::new("", Shape::Lines, Unit::Percent, points(&values));
        assert_eq!(chart.lines.len(), 2);
        assert!(chart.bars.iter().all(|bar| bar.segments.is_empty()));
    }
}
