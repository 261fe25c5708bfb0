//! Counts of parts that exceed the count of their whole.

use std::borrow::Cow;

use super::{unit::Unit, usage::Usage};

/// Wholes, and the disjoint parts that cannot exceed them together.
const PARTS: &[(Unit, &[Unit])] = &[
    (Unit::InputTokens, &[Unit::CacheReadTokens, Unit::CacheWriteTokens]),
    (Unit::CacheWriteTokens, &[Unit::CacheWrite5mTokens, Unit::CacheWrite1hTokens]),
    (Unit::OutputTokens, &[Unit::ReasoningTokens]),
    (
        Unit::InputTokens,
        &[Unit::InputTextTokens, Unit::InputAudioTokens, Unit::InputImageTokens, Unit::InputVideoTokens],
    ),
    (
        Unit::OutputTokens,
        &[Unit::OutputTextTokens, Unit::OutputAudioTokens, Unit::OutputImageTokens, Unit::OutputVideoTokens],
    ),
    (Unit::CacheReadTokens, CACHE_READ_PARTS),
];

const CACHE_READ_PARTS: &[Unit] =
    &[Unit::CacheTextReadTokens, Unit::CacheAudioReadTokens, Unit::CacheImageReadTokens, Unit::CacheVideoReadTokens];

/// Describes each whole whose parts exceed it.
pub(super) fn inconsistencies(usage: &Usage) -> impl Iterator<Item = String> {
    PARTS.iter().filter_map(|(whole, parts)| {
        let count = usage.get(*whole)?;
        let sum = sum(usage, parts);
        (sum > count).then(|| {
            let known = parts.iter().filter(|part| usage.get(**part).is_some());
            let names: Vec<_> = known.map(|part| part.as_str()).collect();
            format!("{} {sum} over {whole} {count}", names.join(" + "))
        })
    })
}

/// Returns usage that a price book can price: parts are reduced until they fit into their whole.
pub(super) fn saturated(usage: &Usage) -> Cow<'_, Usage> {
    let mut usage = Cow::Borrowed(usage);
    for (whole, parts) in PARTS {
        let Some(mut remaining) = usage.get(*whole) else { continue };
        for part in *parts {
            let Some(count) = usage.get(*part) else { continue };
            let kept = count.min(remaining);
            remaining -= kept;
            if kept < count {
                usage.to_mut().set(*part, kept);
            }
        }
    }
    complete_cache_reads(&mut usage);
    usage
}

/// Sets unknown kinds of cache reads to zero if the known ones make up all cache reads.
///
/// A catalog that prices each kind of cached input needs all counts.
fn complete_cache_reads(usage: &mut Cow<'_, Usage>) {
    let cache_reads = usage.get(Unit::CacheReadTokens).unwrap_or(0);
    if cache_reads == 0 || sum(usage, CACHE_READ_PARTS) != cache_reads {
        return;
    }
    for part in CACHE_READ_PARTS {
        if usage.get(*part).is_none() {
            usage.to_mut().set(*part, 0);
        }
    }
}

fn sum(usage: &Usage, units: &[Unit]) -> u64 {
    units.iter().filter_map(|unit| usage.get(*unit)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::{Cow, Unit, Usage, inconsistencies, saturated};

    #[test]
    fn reports_parts_that_exceed_their_whole() {
        let usage = Usage::tokens(10, 5).with(Unit::CacheReadTokens, 8).with(Unit::CacheWriteTokens, 3);
        assert_eq!(
            inconsistencies(&usage).collect::<Vec<_>>(),
            ["cache_read_tokens + cache_write_tokens 11 over input_tokens 10"]
        );
        assert_eq!(inconsistencies(&Usage::tokens(10, 5).with(Unit::ReasoningTokens, 5)).count(), 0);
        assert_eq!(inconsistencies(&Usage::new().with(Unit::ReasoningTokens, 5)).count(), 0);
    }

    #[test]
    fn reduces_parts_until_they_fit() {
        let usage = Usage::tokens(10, 5).with(Unit::CacheReadTokens, 8).with(Unit::CacheWriteTokens, 3);
        let fitting = saturated(&usage);
        assert_eq!((fitting.get(Unit::CacheReadTokens), fitting.get(Unit::CacheWriteTokens)), (Some(8), Some(2)));
        assert!(matches!(saturated(&Usage::tokens(10, 5)), Cow::Borrowed(_)));
    }

    #[test]
    fn completes_cache_reads_that_are_fully_known() {
        let usage = Usage::tokens(10, 5).with(Unit::CacheReadTokens, 8).with(Unit::CacheAudioReadTokens, 8);
        assert_eq!(saturated(&usage).get(Unit::CacheTextReadTokens), Some(0));
        let partly = usage.with(Unit::CacheAudioReadTokens, 7);
        assert_eq!(saturated(&partly).get(Unit::CacheTextReadTokens), None);
    }
}
