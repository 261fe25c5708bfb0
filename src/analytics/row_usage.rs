//! The usage of a stored request.

use crate::{
    row::EventRow,
    usage::{Unit, Usage},
};

/// Returns the counts of a row, which may overlap.
pub(crate) fn row_usage(row: &EventRow) -> Usage {
    let columns = [
        (Unit::InputTokens, row.input_tokens),
        (Unit::OutputTokens, row.output_tokens),
        (Unit::CacheReadTokens, row.cache_read_tokens),
        (Unit::CacheWriteTokens, row.cache_write_tokens),
        (Unit::CacheWrite1hTokens, row.cache_write_1h_tokens),
        (Unit::ReasoningTokens, row.reasoning_tokens),
        (Unit::InputAudioTokens, row.input_audio_tokens),
        (Unit::OutputAudioTokens, row.output_audio_tokens),
    ];
    let others = row.other_usage.iter().map(|(name, count)| (Unit::from_name(name), Some(*count)));
    let all = columns.into_iter().map(|(unit, count)| (Some(unit), count)).chain(others);
    let known = all.filter_map(|(unit, count)| unit.zip(count));
    known.fold(Usage::new(), |usage, (unit, count)| usage.with(unit, count))
}

/// Returns the counts of a row as disjoint kinds, as providers bill them: input without cache reads and writes, output,
/// cache reads, and cache writes by lifetime. Kinds without a count are omitted.
pub(crate) fn disjoint_counts(row: &EventRow) -> Vec<(Unit, u64)> {
    let count = |count: Option<u64>| count.unwrap_or(0);
    let (read, write, write_1h) =
        (count(row.cache_read_tokens), count(row.cache_write_tokens), count(row.cache_write_1h_tokens));
    let tokens = [
        (Unit::InputTokens, count(row.input_tokens).saturating_sub(read.saturating_add(write))),
        (Unit::OutputTokens, count(row.output_tokens)),
        (Unit::CacheReadTokens, read),
        (Unit::CacheWriteTokens, write.saturating_sub(write_1h)),
        (Unit::CacheWrite1hTokens, write_1h),
    ];
    let others = row.other_usage.iter().filter_map(|(name, count)| Some((Unit::from_name(name)?, *count)));
    let others = others.filter(|(unit, _)| *unit >= Unit::WebSearches);
    tokens.into_iter().chain(others).filter(|(_, count)| *count > 0).collect()
}
