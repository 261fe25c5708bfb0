use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
};

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

use crate::format::cut;

/// The width of a terminal that does not report one.
const DEFAULT_WIDTH: u16 = 80;
/// The width to which the labels of rows are cut before columns of numbers are left out.
const MIN_LABEL: usize = 14;
/// The space between two columns.
const GAP: usize = 2;

/// A table whose first columns are labels, on the left, and whose other columns are numbers, on the right.
///
/// On a terminal, lines are not longer than its width: some columns of numbers are left out, and labels are cut.
pub(crate) struct Table {
    labels: usize,
    /// The columns of numbers that may be left out, the first of them first.
    optional: &'static [&'static str],
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
    has_total: bool,
}

impl Table {
    pub(crate) fn new(labels: usize, optional: &'static [&'static str], heading: Vec<String>) -> Self {
        Self { labels, optional, heading, rows: Vec::new(), has_total: false }
    }

    /// Adds a row. The last cells may be missing.
    pub(crate) fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.heading.len(), String::new());
        self.rows.push(cells);
    }

    /// Adds the last row.
    pub(crate) fn total(&mut self, cells: Vec<String>) {
        self.row(cells);
        self.has_total = true;
    }

    pub(crate) fn text(mut self) -> String {
        if let Some(width) = terminal_width() {
            self.fit(width.into());
        }
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(&self.heading);
        for row in &self.rows {
            grid.add_row(row);
        }
        for (at, column) in grid.column_iter_mut().enumerate() {
            column.set_cell_alignment(if at < self.labels { CellAlignment::Left } else { CellAlignment::Right });
            column.set_padding((if at > 0 { 2 } else { 0 }, 0));
        }
        let lines: Vec<String> = grid.lines().map(|line| line.trim_end().to_owned()).collect();
        let (plain, bold) = (console::Style::new(), console::Style::new().bold());
        let last = lines.len().saturating_sub(1);
        let mut text = String::new();
        for (at, line) in lines.iter().enumerate() {
            let style = if at == 0 || self.has_total && at == last { &bold } else { &plain };
            // Writing to a string never fails.
            let _ = writeln!(text, "{}", style.apply_to(line));
        }
        text
    }

    /// Leaves out columns and cuts labels until the lines are at most `width` long.
    fn fit(&mut self, width: usize) {
        for name in self.optional {
            let labels = self.widths().iter().take(self.labels).map(|label| (*label).min(MIN_LABEL)).sum::<usize>();
            if labels + self.numbers_width() <= width {
                break;
            }
            if let Some(at) = self.heading.iter().position(|heading| heading == name) {
                std::iter::once(&mut self.heading).chain(&mut self.rows).for_each(|row| _ = row.remove(at));
            }
        }
        let room = width.saturating_sub(self.numbers_width());
        let mut widths: Vec<usize> = self.widths().into_iter().take(self.labels).collect();
        while widths.iter().sum::<usize>() > room
            && let Some(longest) = widths.iter_mut().max().filter(|longest| **longest > 1)
        {
            *longest -= 1;
        }
        for row in std::iter::once(&mut self.heading).chain(&mut self.rows) {
            row.iter_mut().zip(&widths).for_each(|(label, width)| *label = cut(label, *width));
        }
    }

    /// Returns the width of each column.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.heading.len()];
        for row in std::iter::once(&self.heading).chain(&self.rows) {
            let cells = widths.iter_mut().zip(row);
            cells.for_each(|(width, cell)| *width = (*width).max(console::measure_text_width(cell)));
        }
        widths
    }

    /// Returns the width of the numbers, and of the space between all columns.
    fn numbers_width(&self) -> usize {
        let numbers: usize = self.widths().iter().skip(self.labels).sum();
        numbers + GAP * self.heading.len().saturating_sub(1)
    }
}

/// Returns the number of columns of the terminal. `None` if standard output is not one.
pub(crate) fn terminal_width() -> Option<u16> {
    size().map(|(_, width)| width)
}

/// Returns the number of lines of the terminal. `None` if standard output is not one.
pub(crate) fn terminal_height() -> Option<u16> {
    size().map(|(height, _)| height)
}

fn size() -> Option<(u16, u16)> {
    io::stdout().is_terminal().then(|| console::Term::stdout().size_checked().unwrap_or((24, DEFAULT_WIDTH)))
}
