use std::fmt;

use crate::usage::Unit;

/// The kind of usage that a row of the export counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FocusMeter {
    /// A kind of usage, disjoint from the others.
    Kind(Unit),
    /// All input of requests whose cost is not split any further.
    Input,
    /// All output of such requests.
    Output,
    /// Costs that belong to neither input nor output, or to nothing that is known.
    Other,
}

impl FocusMeter {
    /// Returns the unit of the quantity.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Kind(Unit::WebSearches | Unit::FileSearches | Unit::RerankSearches) => "Searches",
            Self::Kind(Unit::InputDocumentPages) => "Pages",
            Self::Kind(Unit::AudioSeconds) => "Seconds",
            Self::Kind(_) | Self::Input | Self::Output => "Tokens",
            Self::Other => "Requests",
        }
    }

    /// Returns how many units a price is for.
    pub(super) fn pricing_block(self) -> u64 {
        if self.unit() == "Tokens" { 1_000_000 } else { 1 }
    }

    /// Returns the unit of prices.
    pub(super) fn pricing_unit(self) -> &'static str {
        match self.unit() {
            "Tokens" => "1000000 Tokens",
            unit => unit,
        }
    }
}

impl fmt::Display for FocusMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self {
            Self::Kind(Unit::CacheReadTokens) => return f.write_str("Cache Read Input Tokens"),
            Self::Kind(Unit::CacheWriteTokens) => return f.write_str("Cache Write Input Tokens"),
            Self::Kind(Unit::CacheWrite1hTokens) => return f.write_str("Cache Write Input Tokens (1 Hour)"),
            Self::Kind(Unit::CacheWrite5mTokens) => return f.write_str("Cache Write Input Tokens (5 Minutes)"),
            Self::Kind(unit) => unit.as_str(),
            Self::Input => return f.write_str("All Input Tokens"),
            Self::Output => return f.write_str("All Output Tokens"),
            Self::Other => return f.write_str("Other"),
        };
        for (at, word) in unit.split('_').enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            let mut letters = word.chars();
            if let Some(first) = letters.next() {
                write!(f, "{}{}", first.to_uppercase(), letters.as_str())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FocusMeter, Unit};

    #[test]
    fn names_meters_in_words() {
        let names = [Unit::InputTokens, Unit::OutputAudioTokens, Unit::CacheReadTokens, Unit::WebSearches]
            .map(|unit| FocusMeter::Kind(unit).to_string());
        assert_eq!(names, ["Input Tokens", "Output Audio Tokens", "Cache Read Input Tokens", "Web Searches"]);
    }
}
