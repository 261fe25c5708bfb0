use std::sync::LazyLock;

use http::Method;

use crate::{
    body::json_scan::Roots,
    usage::{
        Operation, consistency::inconsistencies, normalized_usage::NormalizedUsage, response_report::ResponseReport,
    },
};

#[cfg(test)]
use super::example;
use super::{
    anthropic, bedrock_converse, bedrock_invoke, cohere,
    format::Format,
    gemini, gemini_interactions, groq, hosted_models, mistral, mistral_ocr, ollama, openai_audio, openai_chat,
    openai_embeddings, openai_images, openai_responses, perplexity,
    report_scanner::ReportScanner,
    route::{Certainty, Route},
    tables::Tables,
    usage_reader::UsageReader,
    vertex, voyage, x_ai,
};

/// All formats, in the order in which they are asked whether counts are theirs.
///
/// Formats that extend another one come before it.
static FORMATS: &[&Format] = &[
    &cohere::FORMAT,
    &gemini::FORMAT,
    &bedrock_converse::FORMAT,
    &groq::FORMAT,
    &perplexity::FORMAT,
    &x_ai::FORMAT,
    &mistral::FORMAT,
    &openai_chat::FORMAT,
    &anthropic::FORMAT,
    &openai_responses::FORMAT,
    &gemini_interactions::FORMAT,
    &voyage::FORMAT,
    &openai_audio::FORMAT,
    &mistral_ocr::FORMAT,
    &ollama::FORMAT,
    &bedrock_invoke::FORMAT,
    &vertex::FORMAT,
    // Formats whose counts are in one of the formats above.
    &hosted_models::FORMAT,
    &openai_embeddings::FORMAT,
    &openai_images::FORMAT,
    #[cfg(test)]
    &example::FORMAT,
];

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::new(FORMATS));

/// Returns what all formats want. The first call builds the tables.
pub(in crate::usage) fn merged_tables() -> &'static Tables {
    &TABLES
}

/// Creates a scanner for response documents.
pub(in crate::usage) fn scanner(roots: Roots, max_value_bytes: usize) -> ReportScanner {
    ReportScanner::new(&TABLES, roots, max_value_bytes)
}

/// Returns the route of a request, and the part of its path that names the model (empty if none does).
pub(in crate::usage) fn find_route<'p>(method: &Method, path: &'p str) -> Option<(&'static Route, &'p str)> {
    let path = path.strip_suffix('/').unwrap_or(path);
    TABLES.route(method, path).filter(|(route, _)| route.certainty != Certainty::Excluded)
}

/// Normalizes what a response reported.
pub(in crate::usage) fn normalize(
    provider: Option<&str>,
    model: Option<&str>,
    operation: Option<&Operation>,
    response: &ResponseReport,
) -> NormalizedUsage {
    let normalized = NormalizedUsage::default();
    let mut reader = UsageReader { provider, model, operation, response, report: &response.usage, normalized };
    if let Some(format) = FORMATS.iter().find(|format| (format.matches)(&reader)) {
        (format.read)(&mut reader);
    }
    if !response.metrics.is_empty() {
        let mut metrics = reader.for_report(&response.metrics);
        bedrock_invoke::read_metrics(&mut metrics);
        reader.normalized.fill_in(metrics.normalized);
    }
    let mut normalized = reader.normalized;
    if normalized.iterations.list.is_empty() {
        normalized.count_excess_cache_as_input();
    }
    normalized.iterations.drop_whole(&normalized.usage, response.model.as_deref());
    normalized.inconsistencies.extend(inconsistencies(&normalized.usage));
    if let (None, Some(output @ 1..)) = (normalized.usage.input_tokens(), normalized.usage.output_tokens()) {
        normalized.inconsistencies.push(format!("output_tokens {output} without input_tokens"));
    }
    normalized
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use http::Method;

    use super::{
        super::pattern::{Pattern, RequestPath},
        FORMATS, TABLES, find_route,
    };

    /// Returns a path that a pattern matches.
    fn sample(pattern: &str) -> String {
        let path = pattern.strip_prefix('^').map_or_else(|| format!("/before{pattern}"), str::to_owned);
        path.replace("**", "*").replace('*', "some-name").replace("v#", "v7").replace(['{', '}'], "")
    }

    #[test]
    fn every_route_is_the_best_match_for_its_own_paths() {
        for expected in FORMATS.iter().flat_map(|format| format.routes) {
            let path = sample(expected.path);
            let (found, _) = TABLES.route(&expected.method, &path).unwrap_or_else(|| panic!("nothing matches {path}"));
            assert_eq!(found.path, expected.path, "{path}");
        }
    }

    #[test]
    fn no_two_routes_are_equally_specific_for_a_path() {
        let routes = FORMATS.iter().flat_map(|format| format.routes);
        let all: Vec<_> = routes.map(|route| (Pattern::new(route.path), route)).collect();
        for (pattern, route) in &all {
            let path = sample(route.path);
            let rivals = all.iter().filter(|(other, other_route)| {
                other_route.method == route.method
                    && other.captures(&RequestPath::new(&path)).is_some()
                    && other.specificity() == pattern.specificity()
            });
            assert_eq!(rivals.count(), 1, "{path} for {}", route.path);
        }
    }

    #[test]
    fn formats_agree_on_the_meaning_of_each_member() {
        let mut meanings = HashMap::new();
        for (path, field) in FORMATS.iter().flat_map(|format| format.wanted) {
            let known = *meanings.entry(*path).or_insert(*field);
            assert_eq!(known, *field, "{path}");
            assert!(path.split('.').count() <= 5, "{path} is too deep");
        }
        let (arrays, objects): (Vec<_>, Vec<_>) = meanings
            .keys()
            .flat_map(|path| path.match_indices('.').map(|(end, _)| &path[..end]))
            .partition(|path| path.ends_with("[]"));
        for path in arrays {
            assert!(!objects.contains(&path.trim_end_matches("[]")), "{path} is both an array and an object");
        }
        for path in meanings.keys().filter(|path| !path.ends_with("[]")) {
            let prefix = format!("{path}.");
            assert!(!meanings.keys().any(|other| other.starts_with(&prefix)), "{path} is both a value and an object");
        }
    }

    #[test]
    fn everything_that_must_be_read_has_a_mark() {
        for format in FORMATS {
            let marks = || format.marks.iter().chain(format.marks_unless_null);
            let has_mark = |name: &str| marks().any(|mark| format!("\"{name}\"").contains(mark));
            for (path, field) in format.wanted {
                // Any member on the way can have the mark.
                let is_found = path.split('.').any(|key| has_mark(key.trim_end_matches("[]")));
                assert!(!field.is_mark() || is_found, "{path} has no mark");
            }
            for event in format.events {
                assert!(!event.is_mark || has_mark(event.name), "{} has no mark", event.name);
            }
        }
    }

    #[test]
    fn routes_name_the_model() {
        let model = |path: &str| find_route(&Method::POST, path).map(|(_, model)| model.to_owned());
        assert_eq!(model("/v1beta/models/gemini-2.5-pro:generateContent").as_deref(), Some("gemini-2.5-pro"));
        assert_eq!(model("/model/anthropic.claude-v2:1/invoke").as_deref(), Some("anthropic.claude-v2:1"));
        assert_eq!(model("/accounts/1/ai/run/@cf/meta/llama-3").as_deref(), Some("@cf/meta/llama-3"));
        assert_eq!(model("/v1/chat/completions/").as_deref(), Some(""));
        assert_eq!(model("/v1/publishers/anthropic/models/count-tokens:rawPredict"), None);
        assert_eq!(model("/users"), None);
    }
}
