use std::fmt;

use super::sink_report::SinkReport;

/// One [`SinkReport`] for each sink of a [`Delivery`](super::Delivery).
#[must_use = "the report shows whether events were lost"]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// The sinks, in the order in which they were added.
    pub sinks: Vec<SinkReport>,
}

impl DeliveryReport {
    /// Creates a report from those of several sinks.
    pub fn new(sinks: impl IntoIterator<Item = SinkReport>) -> Self {
        Self { sinks: sinks.into_iter().collect() }
    }

    /// Returns the first sink of a name.
    pub fn sink(&self, name: &str) -> Option<&SinkReport> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    /// Returns `true` if every sink delivered every event that it accepted.
    pub fn is_complete(&self) -> bool {
        self.sinks.iter().all(SinkReport::is_complete)
    }
}

impl fmt::Display for DeliveryReport {
    /// Writes one line for each sink.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, sink) in self.sinks.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            sink.fmt(f)?;
        }
        Ok(())
    }
}
