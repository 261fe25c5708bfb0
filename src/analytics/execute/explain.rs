use std::fmt;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use std::time::Duration;

use serde::Serialize;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::{analytics::Grain, row::Dimension};

/// The sums and rows that a query reads.
///
/// Its text is for people. Serializes as the list of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    lines: Vec<String>,
}

impl Explanation {
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn new(steps: Vec<String>, grain: Grain, notes: Vec<String>, rows: u64, time: Duration) -> Self {
        let mut lines = steps;
        if lines.is_empty() {
            lines.push(format!("reads the rows of the range, the latest first, up to {rows} rows or {time:?}"));
        }
        lines.push(format!("the range is cut at {}", grain.plural()));
        lines.extend(notes);
        Self { lines }
    }

    /// The explanation of all queries on rows in memory.
    pub(crate) fn memory() -> Self {
        Self { lines: vec!["reads all rows in memory".to_owned()] }
    }

    /// Describes the sums of one set of groups.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn sums(
        dimensions: &[Dimension],
        subject: &crate::store::rollup::Subject,
        spans: &[crate::store::rollup::Span],
        edges: &[(u64, u64)],
    ) -> String {
        let names = |dimensions: &mut dyn Iterator<Item = &Dimension>| {
            let names: Vec<String> = dimensions.map(ToString::to_string).collect();
            if names.is_empty() { "all requests".to_owned() } else { names.join(", ") }
        };
        let groups = names(&mut dimensions.iter());
        let source = names(&mut subject.first.iter().chain(&subject.second));
        let blocks = spans.iter().map(|span| format!("{} × {:?}", span.to - span.from, span.tier));
        let blocks: Vec<String> = blocks.collect();
        let minutes = edges.iter().map(|(from, to)| to - from).sum::<u64>() / 60_000_000;
        format!("groups by {groups}: sums of {source} in {} and rows of {minutes} minutes", blocks.join(" + "))
    }

    /// Returns the lines of the text.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}
