//! How a later usage report of a response changes the earlier ones.

use serde_json::{Map, Value};

/// Maximum number of counts in a report. Providers send about twenty.
const MAX_COUNTS: usize = 64;

/// The counts of the prompt and of its cached parts. If a report has none above zero, it says nothing about the prompt.
const PROMPT_COUNTS: [&str; 20] = [
    "input_tokens",
    "prompt_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "prompt_cache_miss_tokens",
    "prompt_tokens_details",
    "input_tokens_details",
    "promptTokenCount",
    "cachedContentTokenCount",
    "toolUsePromptTokenCount",
    "inputTokens",
    "cacheReadInputTokens",
    "cacheWriteInputTokens",
    "prompt_eval_count",
    "total_input_tokens",
    "total_cached_tokens",
    "inputTokenCount",
];

/// Adds the members of a usage report, which replace those with the same names.
///
/// - Members that are `null` or empty texts are skipped.
/// - Zeros do not replace counts unless the report corrects the prompt: some servers end a stream with a report of zeros.
/// - A count of cache writes that is replaced by another one withdraws its parts.
/// - Input that repeats the earlier input and cache counts as a sum changes none of them.
///
/// A report that is not an object is a placeholder, such as `[]` or `""`, and is skipped.
///
/// # Errors
/// Returns an error if the report is not JSON.
pub(super) fn merge_counts(into: &mut Map<String, Value>, report: &[u8]) -> Result<(), serde_json::Error> {
    let Value::Object(mut members) = serde_json::from_slice(report)? else { return Ok(()) };
    members.retain(|_, value| !value.is_null() && value != "");
    if into.is_empty() && members.len() <= MAX_COUNTS {
        *into = members;
        return Ok(());
    }
    if repeats_input_as_sum(into, &members) {
        members.retain(|name, _| !PROMPT_COUNTS.contains(&name.as_str()));
    }
    let corrects_prompt = PROMPT_COUNTS.iter().filter_map(|name| members.get(*name)).any(|count| !is_zero(count));
    if !corrects_prompt {
        members.retain(|name, value| !is_zero(value) || into.get(name).is_none_or(is_zero));
    }
    let cache_writes = members.get("cache_creation_input_tokens");
    if cache_writes.is_some() && cache_writes != into.get("cache_creation_input_tokens") {
        into.remove("cache_creation");
    }
    for (name, value) in members {
        if into.len() < MAX_COUNTS || into.contains_key(&name) {
            into.insert(name, value);
        }
    }
    Ok(())
}

/// Returns `true` if the input of an Anthropic-shaped report is the earlier input plus the earlier cache counts, and the
/// report has no cache counts that differ.
fn repeats_input_as_sum(earlier: &Map<String, Value>, report: &Map<String, Value>) -> bool {
    const CACHE: [&str; 2] = ["cache_read_input_tokens", "cache_creation_input_tokens"];
    let count = |map: &Map<String, Value>, name: &str| map.get(name).and_then(Value::as_u64);
    let (Some(before), Some(now)) = (count(earlier, "input_tokens"), count(report, "input_tokens")) else {
        return false;
    };
    let cached = CACHE.iter().filter_map(|name| count(earlier, name)).fold(0, u64::saturating_add);
    let keeps_cache = CACHE
        .iter()
        .all(|name| count(report, name).is_none_or(|cached| cached == 0 || Some(cached) == count(earlier, name)));
    cached > 0 && keeps_cache && now == before.saturating_add(cached)
}

/// Returns `true` for zero, and for objects and arrays of zeros.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => !text.is_empty() && text.bytes().all(|byte| byte == b'0'),
        Value::Object(members) => members.values().all(is_zero),
        Value::Array(entries) => entries.iter().all(is_zero),
        Value::Null => true,
        Value::Bool(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::merge_counts;

    fn merged(reports: &[Value]) -> Value {
        let mut counts = serde_json::Map::new();
        for report in reports {
            merge_counts(&mut counts, report.to_string().as_bytes()).unwrap();
        }
        counts.into()
    }

    #[test]
    fn zeros_replace_counts_only_in_a_correction_of_the_prompt() {
        let start = json!({"input_tokens": 2140, "cache_read_input_tokens": 2000, "output_tokens": 3});
        let zeros = json!({"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 8});
        let kept = json!({"input_tokens": 2140, "cache_read_input_tokens": 2000, "cache_creation_input_tokens": 0, "output_tokens": 8});
        assert_eq!(merged(&[start.clone(), zeros]), kept);
        let correction = json!({"input_tokens": 4140, "cache_read_input_tokens": 1, "output_tokens": 8});
        assert_eq!(merged(&[start.clone(), correction.clone()]), correction);
        let zero_cache = json!({"input_tokens": 9, "cache_read_input_tokens": 0, "output_tokens": 8});
        assert_eq!(merged(&[start, zero_cache.clone()]), zero_cache);
        let chat = json!({"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 100}});
        for placeholder in [
            json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": null}}),
            json!({"prompt_tokens": "0", "completion_tokens": 0.0}),
            json!({"completion_tokens": 0}),
            json!({}),
            json!([]),
            json!(""),
            json!(null),
            json!(false),
        ] {
            assert_eq!(merged(&[chat.clone(), placeholder.clone()]), chat, "{placeholder}");
            assert_eq!(
                merged(&[placeholder.clone(), chat.clone()]),
                merged(std::slice::from_ref(&chat)),
                "{placeholder}"
            );
        }
    }

    #[test]
    fn a_replaced_cache_count_withdraws_its_parts() {
        let start = json!({"input_tokens": 2, "cache_creation_input_tokens": 58352, "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 58352, "ephemeral_1h_input_tokens": 0}});
        let read = json!({"input_tokens": 2, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 58352});
        assert_eq!(merged(&[start.clone(), read.clone()]), read);
        let same = json!({"cache_creation_input_tokens": 58352, "output_tokens": 5});
        assert_eq!(merged(&[start.clone(), same])["cache_creation"], start["cache_creation"]);
        let again = json!({"input_tokens": 2, "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7}});
        let merged = merged(&[start, again.clone()]);
        assert_eq!(merged["cache_creation"], again["cache_creation"]);
    }

    #[test]
    fn input_that_includes_the_cache_is_not_added_to_it() {
        let start = json!({"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5});
        for delta in [
            json!({"input_tokens": 115, "output_tokens": 8}),
            json!({"input_tokens": 115, "cache_read_input_tokens": 0, "output_tokens": 8}),
            json!({"input_tokens": 115, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 8}),
        ] {
            let merged = merged(&[start.clone(), delta.clone()]);
            assert_eq!(
                (&merged["input_tokens"], &merged["cache_read_input_tokens"]),
                (&json!(10), &json!(100)),
                "{delta}"
            );
            assert_eq!(merged["output_tokens"], 8, "{delta}");
        }
        let other = merged(&[start, json!({"input_tokens": 115, "cache_read_input_tokens": 99})]);
        assert_eq!((&other["input_tokens"], &other["cache_read_input_tokens"]), (&json!(115), &json!(99)));
    }
}
