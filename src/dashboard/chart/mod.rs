//! Charts as SVG. Templates write them; all geometry is computed here.

mod colors;
mod scale;
mod sparkline;
mod time_chart;
mod waterfall;

pub(crate) use self::{
    colors::{COLORS, color},
    scale::{Scale, Unit},
    sparkline::Sparkline,
    time_chart::{Point, Shape, TimeChart},
    waterfall::{StepInput, Waterfall},
};
