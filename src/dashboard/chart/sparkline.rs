use super::colors::place;

/// A small line without axes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sparkline {
    /// The points of each line. Unknown values are gaps.
    pub(crate) lines: Vec<String>,
    /// The outlines of the areas below the lines.
    pub(crate) areas: Vec<String>,
}

impl Sparkline {
    const WIDTH: f64 = 120.0;
    const HEIGHT: f64 = 30.0;
    /// The space above the largest value.
    const MARGIN: f64 = 3.0;

    /// Draws values from left to right. All sparklines begin at zero.
    #[allow(clippy::cast_precision_loss, reason = "there are few values")]
    pub(crate) fn new(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let values: Vec<Option<f64>> = values.into_iter().collect();
        let max = values.iter().flatten().copied().fold(0.0, f64::max);
        let step = Self::WIDTH / (values.len().max(2) - 1) as f64;
        let mut sparkline = Self::default();
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (at, value) in values.iter().chain([&None]).enumerate() {
            if let Some(value) = value {
                let share = if max > 0.0 { value.max(0.0) / max } else { 0.0 };
                points.push((at as f64 * step, Self::HEIGHT - share * (Self::HEIGHT - Self::MARGIN) - 0.5));
            } else if !points.is_empty() {
                sparkline.add(&std::mem::take(&mut points), step);
            }
        }
        sparkline
    }

    fn add(&mut self, points: &[(f64, f64)], step: f64) {
        let mut points = points.to_vec();
        // A single point is a short line.
        if let [(x, y)] = points[..] {
            points = vec![((x - step / 4.0).max(0.0), y), ((x + step / 4.0).min(Self::WIDTH), y)];
        }
        let text: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", place(*x), place(*y))).collect();
        let line = text.join(" ");
        if let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) {
            let bottom = place(Self::HEIGHT);
            self.areas.push(format!("{},{bottom} {line} {},{bottom}", place(*first), place(*last)));
        }
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::Sparkline;

    #[test]
    fn leaves_gaps_for_unknown_values() {
        let sparkline = Sparkline::new([Some(1.0), Some(2.0), None, Some(0.0)]);
        assert_eq!(sparkline.lines, ["0,16 40,2.5", "110,29.5 120,29.5"]);
        assert_eq!(Sparkline::new([None, None]), Sparkline::default());
    }
}
