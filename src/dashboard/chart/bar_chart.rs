use super::{Scale, Unit, color, place};

/// One bar of a chart before it is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct BarInput {
    /// The text below the bar, if there is room for it.
    pub(crate) label: String,
    /// The text that describes the bar.
    pub(crate) title: String,
    /// The page that the bar leads to.
    pub(crate) href: String,
    /// The values of the series, from the bottom. Unknown values have no segment.
    pub(crate) values: Vec<Option<f64>>,
    /// The value of the previous period.
    pub(crate) previous: Option<f64>,
}

/// A bar with its segments.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) title: String,
    pub(crate) href: String,
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) segments: Vec<Segment>,
}

/// A rectangle.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) class: &'static str,
    pub(crate) y: String,
    pub(crate) height: String,
}

/// Stacked bars over time, with a line for the previous period.
#[derive(Clone, Debug)]
pub(crate) struct BarChart {
    /// What the chart shows, for screen readers.
    pub(crate) label: String,
    pub(crate) ticks: Vec<(String, String)>,
    pub(crate) bars: Vec<Bar>,
    /// The labels of the horizontal axis with their positions.
    pub(crate) labels: Vec<(String, String)>,
    /// The points of the lines of the previous period.
    pub(crate) previous: Vec<String>,
}

impl BarChart {
    pub(crate) const WIDTH: f64 = 1160.0;
    pub(crate) const HEIGHT: f64 = 230.0;
    const LEFT: f64 = 60.0;
    const TOP: f64 = 10.0;
    const BOTTOM: f64 = 208.0;
    /// The smallest distance between labels.
    const LABEL_WIDTH: f64 = 64.0;
    /// Thin segments stay visible.
    const MIN_HEIGHT: f64 = 0.7;

    /// Draws bars from left to right.
    #[allow(clippy::cast_precision_loss, reason = "there are few bars")]
    pub(crate) fn new(label: impl Into<String>, unit: Unit, bars: Vec<BarInput>) -> Self {
        let sum = |bar: &BarInput| bar.values.iter().flatten().sum::<f64>();
        let max = bars.iter().flat_map(|bar| [sum(bar), bar.previous.unwrap_or(0.0)]).fold(0.0, f64::max);
        let scale = Scale::new(max, unit);
        let plot = Self::BOTTOM - Self::TOP;
        let step = (Self::WIDTH - Self::LEFT) / bars.len().max(1) as f64;
        let gap = (step / 8.0).clamp(0.5, 4.0);
        let y = |value: f64| Self::BOTTOM - scale.share(value) * plot;
        let ticks = scale.ticks().into_iter().map(|(share, text)| (place(Self::BOTTOM - share * plot), text));
        let every = (Self::LABEL_WIDTH / step).ceil().max(1.0);
        let mut chart = Self {
            label: label.into(),
            ticks: ticks.collect(),
            bars: Vec::new(),
            labels: Vec::new(),
            previous: Vec::new(),
        };
        let mut line: Vec<String> = Vec::new();
        for (at, bar) in bars.into_iter().enumerate() {
            let x = Self::LEFT + at as f64 * step;
            let middle = x + step / 2.0;
            if at as f64 % every == 0.0 {
                chart.labels.push((place(middle), bar.label));
            }
            match bar.previous {
                Some(value) => line.push(format!("{},{}", place(middle), place(y(value)))),
                None if !line.is_empty() => chart.previous.push(std::mem::take(&mut line).join(" ")),
                None => {}
            }
            let mut bottom = 0.0;
            let mut segments = Vec::new();
            for (series, value) in bar.values.iter().enumerate() {
                let Some(value) = value.filter(|value| *value > 0.0) else { continue };
                let height = (y(bottom) - y(bottom + value)).max(Self::MIN_HEIGHT);
                segments.push(Segment {
                    class: color(series),
                    y: place(y(bottom) - height),
                    height: place(height),
                });
                bottom += value;
            }
            let (x, width) = (place(x + gap / 2.0), place(step - gap));
            chart.bars.push(Bar { title: bar.title, href: bar.href, x, width, segments });
        }
        if !line.is_empty() {
            chart.previous.push(line.join(" "));
        }
        chart
    }
}
