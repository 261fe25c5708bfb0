use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::unit::Unit;

/// Counts of what an LLM call used. Unknown counts are absent, never zero.
///
/// Counts have the meaning of the
/// [OpenTelemetry GenAI conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/), regardless of the provider's own
/// convention: input includes cache reads and writes, and output includes reasoning.
///
/// ```
/// use tower_tagging::usage::{Unit, Usage};
///
/// let usage = Usage::new().with(Unit::InputTokens, 2006).with(Unit::CacheReadTokens, 1920).with(Unit::OutputTokens, 300);
/// assert_eq!(usage.input_tokens(), Some(2006));
/// assert_eq!(usage.get(Unit::ReasoningTokens), None);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sorted by unit.
    counts: Vec<(Unit, u64)>,
}

impl Usage {
    /// Creates usage without any known count.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates usage of input and output tokens.
    pub fn tokens(input: u64, output: u64) -> Self {
        Self::new().with(Unit::InputTokens, input).with(Unit::OutputTokens, output)
    }

    /// Sets a count and returns the usage.
    #[must_use]
    pub fn with(mut self, unit: Unit, count: u64) -> Self {
        self.set(unit, count);
        self
    }

    /// Sets a count.
    pub fn set(&mut self, unit: Unit, count: u64) {
        match self.find(unit) {
            Ok(index) => {
                if let Some(entry) = self.counts.get_mut(index) {
                    entry.1 = count;
                }
            }
            Err(index) => self.counts.insert(index, (unit, count)),
        }
    }

    /// Adds to a count. An unknown count is treated as zero. The sum saturates at `u64::MAX`.
    pub fn add(&mut self, unit: Unit, count: u64) {
        self.set(unit, self.get(unit).unwrap_or(0).saturating_add(count));
    }

    /// Adds all counts of `other`, as [`add`](Self::add) does.
    pub fn add_all(&mut self, other: &Self) {
        for (unit, count) in other.iter() {
            self.add(unit, count);
        }
    }

    /// Returns a count, or `None` if it is unknown.
    pub fn get(&self, unit: Unit) -> Option<u64> {
        self.find(unit).ok().and_then(|index| self.counts.get(index)).map(|(_, count)| *count)
    }

    /// Returns all input tokens, including cache reads and writes.
    pub fn input_tokens(&self) -> Option<u64> {
        self.get(Unit::InputTokens)
    }

    /// Returns all output tokens, including reasoning.
    pub fn output_tokens(&self) -> Option<u64> {
        self.get(Unit::OutputTokens)
    }

    /// Returns `true` if no count is known.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns the known counts in the order of [`Unit::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Unit, u64)> {
        self.counts.iter().copied()
    }

    /// Returns the counts that `keep` selects.
    pub(super) fn filtered(&self, keep: impl Fn(Unit) -> bool) -> Self {
        Self { counts: self.iter().filter(|(unit, _)| keep(*unit)).collect() }
    }

    /// Returns the approximate heap memory of the counts, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<(Unit, u64)>()
    }

    fn find(&self, unit: Unit) -> Result<usize, usize> {
        self.counts.binary_search_by_key(&unit, |(unit, _)| *unit)
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counts.iter().map(|(unit, count)| (unit.as_str(), count))).finish()
    }
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for unit in Unit::ALL.iter().take_while(|unit| unit.is_always_serialized()) {
            object.serialize_entry(unit.as_str(), &self.get(*unit))?;
        }
        for (unit, count) in self.iter().filter(|(unit, _)| !unit.is_always_serialized()) {
            object.serialize_entry(unit.as_str(), &count)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::{Unit, Usage};

    #[test]
    fn counts_are_sorted_and_set_once() {
        let usage = Usage::new().with(Unit::AudioSeconds, 1).with(Unit::InputTokens, 2).with(Unit::AudioSeconds, 3);
        assert_eq!(usage.iter().collect::<Vec<_>>(), [(Unit::InputTokens, 2), (Unit::AudioSeconds, 3)]);
    }

    #[test]
    fn sums_saturate_and_make_unknown_counts_known() {
        let mut usage = Usage::tokens(1, u64::MAX);
        usage.add_all(&Usage::new().with(Unit::OutputTokens, 1).with(Unit::WebSearches, 2));
        assert_eq!(usage, Usage::tokens(1, u64::MAX).with(Unit::WebSearches, 2));
    }

    #[test]
    fn serializes_unknown_main_counts_as_null_and_omits_others() {
        let json = serde_json::to_value(Usage::tokens(1, 2).with(Unit::WebSearches, 3)).unwrap();
        assert_eq!((&json["input_tokens"], &json["web_searches"]), (&1.into(), &3.into()));
        assert!(json["reasoning_tokens"].is_null());
        assert_eq!(json.as_object().unwrap().len(), 9);
    }
}
