//! Checks on counts that must add up.

use std::borrow::Cow;

use super::{Unit, Usage};

/// Describes each whole that is smaller than the sum of its parts.
pub(super) fn inconsistencies(usage: &Usage) -> impl Iterator<Item = String> {
    PARTS.iter().filter_map(|(whole, parts)| {
        let all = usage.get(*whole)?;
        let of_parts = parts.iter().filter_map(|part| usage.get(*part)).fold(0, u64::saturating_add);
        (of_parts > all).then(|| {
            let names: Vec<_> =
                parts.iter().filter(|part| usage.get(**part).is_some()).map(|part| part.as_str()).collect();
            format!("{} {of_parts} over {whole} {all}", names.join(" + "))
        })
    })
}

/// The parts that together cannot exceed their whole.
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
    (
        Unit::CacheReadTokens,
        &[
            Unit::CacheTextReadTokens,
            Unit::CacheAudioReadTokens,
            Unit::CacheImageReadTokens,
            Unit::CacheVideoReadTokens,
        ],
    ),
];

/// Limits every part to what its whole leaves for it, so that the usage can be priced.
pub(super) fn saturated(usage: &Usage) -> Cow<'_, Usage> {
    let mut usage = Cow::Borrowed(usage);
    for (whole, parts) in PARTS {
        let Some(mut left) = usage.get(*whole) else { continue };
        for part in *parts {
            if let Some(count) = usage.get(*part) {
                let kept = count.min(left);
                left -= kept;
                if kept < count {
                    usage.to_mut().set(*part, kept);
                }
            }
        }
    }
    // If the reported parts make up the whole, the other parts are zero. Prices for parts of parts need to know that.
    for (whole, parts) in PARTS.iter().filter(|(whole, _)| *whole == Unit::CacheReadTokens) {
        let counts = || parts.iter().filter_map(|part| usage.get(*part));
        if usage.get(*whole).is_some_and(|all| all > 0 && counts().fold(0, u64::saturating_add) == all) {
            let others: Vec<_> = parts.iter().filter(|part| usage.get(**part).is_none()).collect();
            for part in others {
                usage.to_mut().set(*part, 0);
            }
        }
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::{Unit, Usage, inconsistencies, saturated};

    #[test]
    fn limits_parts_to_their_whole() {
        let usage = Usage::tokens(10, 5).with(Unit::CacheReadTokens, 12).with(Unit::ReasoningTokens, 2);
        assert_eq!(inconsistencies(&usage).collect::<Vec<_>>(), ["cache_read_tokens 12 over input_tokens 10"]);
        let priced = saturated(&usage);
        assert_eq!(priced.get(Unit::CacheReadTokens), Some(10));
        assert_eq!(priced.get(Unit::ReasoningTokens), Some(2));
    }
}
