use serde::{Deserialize, Serialize};

use crate::analytics::{Amount, QueryError};

use super::collect::GroupKey;

/// The place of a group in the order of an answer.
///
/// It does not depend on the group itself, so paging continues at this place even if the group no longer exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct GroupCursor {
    /// The value that the groups are ordered by.
    by: Option<Rank>,
    pub(super) values: GroupKey,
}

/// An [`Amount`] without its unit, which all groups share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rank {
    Count(u64),
    Nanos(i64),
    /// The bits of a floating-point number, which text does not round.
    Bits(u64),
}

impl GroupCursor {
    pub(super) fn new(by: Option<Amount>, values: GroupKey) -> Self {
        let rank = |amount| match amount {
            Amount::Count(count) => Rank::Count(count),
            Amount::NanoUsd(nanos) => Rank::Nanos(nanos),
            other => Rank::Bits(other.as_f64().to_bits()),
        };
        Self { by: by.map(rank), values }
    }

    /// Returns the value that the groups are ordered by.
    pub(super) fn amount(&self) -> Option<Amount> {
        self.by.map(|rank| match rank {
            Rank::Count(count) => Amount::Count(count),
            Rank::Nanos(nanos) => Amount::NanoUsd(nanos),
            Rank::Bits(bits) => Amount::Number(f64::from_bits(bits)),
        })
    }

    pub(super) fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// Reads the cursor of an answer with a number of dimensions.
    pub(super) fn parse(text: &str, dimensions: usize) -> Result<Self, QueryError> {
        let cursor: Option<Self> = serde_json::from_str(text).ok();
        let cursor = cursor.filter(|cursor| cursor.values.len() == dimensions);
        cursor.ok_or_else(|| QueryError::invalid("invalid cursor: expected the `next` of an answer to the same query"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Amount, GroupCursor};

    #[test]
    fn keeps_the_exact_value() {
        for amount in
            [Amount::Count(u64::MAX), Amount::NanoUsd(-1), Amount::Number(0.1 + 0.2), Amount::Number(f64::MAX)]
        {
            let cursor = GroupCursor::new(Some(amount), vec![Some("a".to_owned()), None]);
            let read = GroupCursor::parse(&cursor.text().unwrap(), 2).unwrap();
            assert_eq!((read.amount(), &read), (Some(amount), &cursor));
        }
    }

    #[test]
    fn belongs_to_queries_with_as_many_dimensions() {
        let text = GroupCursor::new(None, vec![None]).text().unwrap();
        assert!(GroupCursor::parse(&text, 1).is_ok() && GroupCursor::parse(&text, 2).is_err());
    }
}
