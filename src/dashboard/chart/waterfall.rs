use crate::dashboard::format;

use super::{Scale, Unit, colors::place};

/// A step before it is drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepInput {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) title: String,
    pub(crate) href: String,
    /// The number of steps above it.
    pub(crate) depth: usize,
    /// Milliseconds from the start of the first step.
    pub(crate) start: f64,
    pub(crate) duration: f64,
    /// The class of its color.
    pub(crate) class: &'static str,
    /// The text behind the bar.
    pub(crate) note: String,
}

/// A step with its places.
#[derive(Clone, Debug)]
pub(crate) struct WaterfallStep {
    pub(crate) input: StepInput,
    pub(crate) name_x: String,
    pub(crate) text_y: String,
    pub(crate) bar_x: String,
    pub(crate) bar_y: String,
    pub(crate) width: String,
    pub(crate) note_x: String,
    /// `end` if the note is to the left of the bar, because it does not fit to the right.
    pub(crate) note_anchor: &'static str,
}

/// The steps of a trace over time.
#[derive(Clone, Debug)]
pub(crate) struct Waterfall {
    pub(crate) height: String,
    pub(crate) bottom: String,
    pub(crate) ticks: Vec<(String, String)>,
    pub(crate) steps: Vec<WaterfallStep>,
}

impl Waterfall {
    const WIDTH: f64 = 1160.0;
    /// The left end of the bars, behind the names.
    const LEFT: f64 = 330.0;
    const ROW: f64 = 26.0;
    const BAR: f64 = 16.0;
    const INDENT: f64 = 14.0;
    const MAX_DEPTH: usize = 8;
    /// The longest name, in characters.
    const NAME: usize = 20;
    const NOTE_WIDTH: f64 = 110.0;

    /// Draws steps from top to bottom.
    #[allow(clippy::cast_precision_loss, reason = "there are few steps")]
    pub(crate) fn new(steps: Vec<StepInput>) -> Self {
        let end = steps.iter().map(|step| step.start + step.duration).fold(0.0, f64::max);
        let scale = Scale::new(end, Unit::Millis);
        let width = Self::WIDTH - Self::LEFT;
        let bottom = steps.len() as f64 * Self::ROW + 6.0;
        let x = |millis: f64| Self::LEFT + scale.share(millis) * width;
        let ticks = scale.ticks().into_iter().map(|(share, text)| (place(Self::LEFT + share * width), text));
        let mut ticks: Vec<_> = ticks.collect();
        // The label of the last tick would be cut.
        ticks.pop();
        let place_step = |(at, mut input): (usize, StepInput)| {
            let top = at as f64 * Self::ROW + 6.0;
            let bar = (x(input.start + input.duration) - x(input.start)).max(2.0);
            let after = x(input.start) + bar;
            let is_before = after + Self::NOTE_WIDTH > Self::WIDTH;
            input.name = format::cut(&input.name, Self::NAME);
            input.model = format::cut(&input.model, Self::NAME);
            WaterfallStep {
                name_x: place(8.0 + input.depth.min(Self::MAX_DEPTH) as f64 * Self::INDENT),
                text_y: place(top + Self::BAR - 4.0),
                bar_x: place(x(input.start)),
                bar_y: place(top),
                width: place(bar),
                note_x: place(if is_before { x(input.start) - 6.0 } else { after + 6.0 }),
                note_anchor: if is_before { "end" } else { "start" },
                input,
            }
        };
        Self {
            height: place(bottom + 24.0),
            bottom: place(bottom),
            ticks,
            steps: steps.into_iter().enumerate().map(place_step).collect(),
        }
    }
}
