//! From what a provider reports to what it means.
//!
//! Which convention a report follows is told by the names in it, as proxies and compatible servers answer with the shape
//! of one provider for the models of another. Only where names do not tell does the provider decide.

use serde_json::{Map, Value};

use super::{
    Operation, Unit, Usage,
    attempts::{Attempt, Attempts},
    consistency::inconsistencies,
    reading::Reading,
};

/// What a report comes to.
#[derive(Debug, Default)]
pub(super) struct Meaning {
    pub(super) usage: Usage,
    /// What the usage is the sum of, where the provider counts attempts by themselves: each is priced by itself.
    pub(super) attempts: Attempts,
    /// It is counted, and not billed.
    pub(super) is_waived: bool,
    /// What about the report does not add up.
    pub(super) inconsistencies: Vec<String>,
}

/// Counts by the OTel meaning: input includes cache reads and writes, output includes reasoning.
pub(super) fn read(
    provider: Option<&str>,
    model: Option<&str>,
    operation: Option<&Operation>,
    reading: &Reading,
) -> Meaning {
    let Reading { usage: report, metrics, tally, .. } = reading;
    let mut meaning = Meaning::default();
    let has = |key: &str| report.contains_key(key);
    let mut reader = Reader { report, meaning: &mut meaning };
    if report.get("billed_units").is_some_and(Value::is_object) {
        reader.cohere_billed();
    } else if has("promptTokenCount")
        || has("candidatesTokenCount")
        || has("thoughtsTokenCount")
        || has("totalTokenCount")
    {
        reader.gemini(&GENERATE_CONTENT);
        reader.google_searches(model, tally.google_queries());
    } else if has("inputTokens") || has("outputTokens") {
        reader.converse();
    } else if has("prompt_tokens") || has("completion_tokens") {
        reader.openai_chat(provider);
    } else if ["input_tokens", "output_tokens", "input_token_details", "output_token_details"].into_iter().any(has) {
        // What a model of Anthropic refuses before it says anything is not billed, by itself.
        let is_refused = reading.is_refused && provider == Some("anthropic");
        reader.openai_responses_or_anthropic(is_refused, reading);
        let is_silent = meaning.usage.output_tokens() == Some(0) && meaning.attempts.list.is_empty();
        meaning.is_waived = is_refused && is_silent;
    } else if has("total_input_tokens") || has("total_output_tokens") {
        reader.gemini(&INTERACTIONS);
        let queries = reader.grounding_queries();
        reader.google_searches(model, queries);
    } else if report.get("tokens").is_some_and(Value::is_object) {
        reader.cohere_tokens();
    } else if matches!(operation, Some(Operation::Embeddings | Operation::Rerank)) && has("total_tokens") {
        // Voyage and Jina: all there is goes in.
        reader.set(Unit::InputTokens, &["total_tokens"]);
    } else if has("seconds") {
        // Transcriptions of OpenAI's.
        reader.set(Unit::AudioSeconds, &["seconds"]);
    } else if has("pages_processed") {
        reader.set(Unit::InputDocumentPages, &["pages_processed"]);
    } else {
        reader.bare_counts();
        reader.add(Unit::InputTokens, some(tally.embedded_tokens));
        if operation == Some(&Operation::Transcription)
            && let Some(duration) = &reading.duration
        {
            reader.seconds(provider, duration);
        }
    }
    if meaning.usage.is_empty() {
        Reader { report: metrics, meaning: &mut meaning }.invocation_metrics();
    }
    meaning.inconsistencies.extend(inconsistencies(&meaning.usage));
    meaning
}

struct Reader<'a> {
    report: &'a Map<String, Value>,
    meaning: &'a mut Meaning,
}

impl Reader<'_> {
    /// The count at a path; a number that can be none is noted.
    fn count(&mut self, path: &[&str]) -> Option<u64> {
        let (first, rest) = path.split_first()?;
        let mut value = self.report.get(*first)?;
        for key in rest {
            value = value.get(key)?;
        }
        self.number(value, || path.join("."))
    }

    fn number(&mut self, value: &Value, name: impl Fn() -> String) -> Option<u64> {
        let count = match value {
            Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
            _ => return None,
        };
        if count.is_none() {
            self.meaning.inconsistencies.push(format!("{} is {value}", name()));
        }
        count
    }

    /// The count at the first path that has one.
    fn first(&mut self, paths: &[&[&str]]) -> Option<u64> {
        paths.iter().find_map(|path| self.count(path))
    }

    fn set(&mut self, unit: Unit, path: &[&str]) {
        self.set_first(unit, &[path]);
    }

    fn set_first(&mut self, unit: Unit, paths: &[&[&str]]) {
        if let Some(count) = self.first(paths) {
            self.meaning.usage.set(unit, count);
        }
    }

    fn add(&mut self, unit: Unit, count: Option<u64>) {
        if let Some(count) = count {
            self.meaning.usage.add(unit, count);
        }
    }

    /// What answers tell of that do not count: whole seconds, in Groq's bill ten at least.
    fn seconds(&mut self, provider: Option<&str>, duration: &Value) {
        // Some write it as text.
        let seconds = duration.as_f64().or_else(|| duration.as_str()?.trim().parse().ok());
        let count = seconds.and_then(|seconds| whole(seconds.ceil()));
        let least = if provider == Some("groq") { 10 } else { 0 };
        self.add(Unit::AudioSeconds, count.map(|count| count.max(least)));
    }

    fn cohere_billed(&mut self) {
        self.set(Unit::RerankSearches, &["billed_units", "search_units"]);
        self.set(Unit::InputTokens, &["billed_units", "input_tokens"]);
        self.set(Unit::OutputTokens, &["billed_units", "output_tokens"]);
        let images = self.count(&["billed_units", "image_tokens"]);
        // Beside those of text.
        self.add(Unit::InputTokens, images);
        self.add(Unit::InputImageTokens, images);
        // Cached tokens are counted of all tokens, of which not all may be billed.
        let read = self.count(&["cached_tokens"]);
        self.add(Unit::CacheReadTokens, read.filter(|read| Some(*read) <= self.meaning.usage.input_tokens()));
    }

    fn cohere_tokens(&mut self) {
        self.set(Unit::InputTokens, &["tokens", "input_tokens"]);
        self.set(Unit::OutputTokens, &["tokens", "output_tokens"]);
        self.set(Unit::CacheReadTokens, &["cached_tokens"]);
    }

    fn gemini(&mut self, names: &GeminiNames) {
        self.set(Unit::InputTokens, &[names.input]);
        let tool = self.count(&[names.tool]);
        // Beside the prompt, and thoughts beside the candidates.
        self.add(Unit::InputTokens, tool);
        self.add(Unit::InputToolTokens, tool);
        self.set(Unit::OutputTokens, &[names.output]);
        let thoughts = self.count(&[names.thoughts]);
        self.add(Unit::OutputTokens, thoughts);
        self.add(Unit::ReasoningTokens, thoughts);
        self.set(Unit::CacheReadTokens, &[names.cached]);
        type Units = [Option<Unit>; 4];
        const NONE: Units = [None; 4];
        let modalities: [(&str, Units, Units); 4] = [
            (
                names.cached_details,
                [
                    Some(Unit::CacheTextReadTokens),
                    Some(Unit::CacheAudioReadTokens),
                    Some(Unit::CacheImageReadTokens),
                    Some(Unit::CacheVideoReadTokens),
                ],
                NONE,
            ),
            (names.input_details, INPUT_MODALITIES, NONE),
            (
                names.output_details,
                [
                    Some(Unit::OutputTextTokens),
                    Some(Unit::OutputAudioTokens),
                    Some(Unit::OutputImageTokens),
                    Some(Unit::OutputVideoTokens),
                ],
                NONE,
            ),
            (
                names.tool_details,
                INPUT_MODALITIES,
                [
                    Some(Unit::InputTextToolTokens),
                    Some(Unit::InputAudioToolTokens),
                    Some(Unit::InputImageToolTokens),
                    Some(Unit::InputVideoToolTokens),
                ],
            ),
        ];
        for (key, units, also) in modalities {
            // Embeddings call it so.
            let details = self
                .report
                .get(key)
                .or_else(|| self.report.get("promptTokenDetails").filter(|_| key == names.input_details));
            let Some(details) = details.and_then(Value::as_array) else { continue };
            // Of several entries for a modality the first counts; documents are priced as images.
            for (modality, place) in [("TEXT", 0), ("AUDIO", 1), ("IMAGE", 2), ("DOCUMENT", 2), ("VIDEO", 3)] {
                let entry = details.iter().find(|entry| {
                    let name = entry.get("modality").and_then(Value::as_str);
                    name.is_some_and(|name| name.eq_ignore_ascii_case(modality))
                });
                let count =
                    entry.and_then(|entry| entry.get(names.count)).and_then(|count| self.number(count, || key.into()));
                for unit in [units, also].iter().filter_map(|units| units.get(place).copied().flatten()) {
                    self.add(unit, count);
                }
            }
        }
    }

    /// What an interaction of Gemini asked Google.
    fn grounding_queries(&mut self) -> u64 {
        let entries = self.report.get("grounding_tool_count").and_then(Value::as_array);
        let of_search = |entry: &&Value| entry.get("type").and_then(Value::as_str) == Some("google_search");
        let counts = entries.into_iter().flatten().filter(of_search).filter_map(|entry| entry.get("count"));
        let counts = counts.filter_map(|count| self.number(count, || "grounding_tool_count".into()));
        counts.fold(0, u64::saturating_add)
    }

    /// Searches as Google bills them: by the query, and up to Gemini 2.5 by the prompt that searched
    /// (<https://ai.google.dev/gemini-api/docs/pricing>).
    fn google_searches(&mut self, model: Option<&str>, queries: u64) {
        let is_by_prompt =
            model.is_some_and(|model| ["gemini-1.", "gemini-2."].iter().any(|old| model.starts_with(old)));
        self.add(Unit::WebSearches, some(if is_by_prompt { queries.min(1) } else { queries }));
    }

    /// Bedrock Converse, which counts the cache beside the input.
    fn converse(&mut self) {
        let read = self.first(&[&["cacheReadInputTokens"], &["cacheReadInputTokenCount"]]);
        let write = self.first(&[&["cacheWriteInputTokens"], &["cacheWriteInputTokenCount"]]);
        self.set(Unit::InputTokens, &["inputTokens"]);
        self.set(Unit::OutputTokens, &["outputTokens"]);
        self.beside_input(read, write);
        for entry in self.report.get("cacheDetails").and_then(Value::as_array).into_iter().flatten() {
            let unit = match entry.get("ttl").and_then(Value::as_str) {
                Some("5m") => Unit::CacheWrite5mTokens,
                Some("1h") => Unit::CacheWrite1hTokens,
                _ => continue,
            };
            let count = entry.get("inputTokens").and_then(|count| self.number(count, || "cacheDetails".into()));
            if self.meaning.usage.get(unit).is_none() {
                self.add(unit, count);
            }
        }
    }

    /// Cache reads and writes that are not counted as input yet.
    fn beside_input(&mut self, read: Option<u64>, write: Option<u64>) {
        if self.meaning.usage.input_tokens().is_some() {
            self.add(Unit::InputTokens, read);
            self.add(Unit::InputTokens, write);
        }
        self.add(Unit::CacheReadTokens, read);
        self.add(Unit::CacheWriteTokens, write);
    }

    fn openai_chat(&mut self, provider: Option<&str>) {
        let prompt = self.count(&["prompt_tokens"]);
        let completion = self.count(&["completion_tokens"]);
        let total = self.count(&["total_tokens"]);
        let reasoning = self.first(&[&["completion_tokens_details", "reasoning_tokens"], &["reasoning_tokens"]]);
        let read = self.first(&[
            &["prompt_tokens_details", "cached_tokens"],
            &["cached_tokens"],
            &["prompt_cache_hit_tokens"],
            &["cache_read_input_tokens"],
            &["cached_prompt_text_tokens"],
        ]);
        let write = self.first(&[
            &["prompt_tokens_details", "cache_write_tokens"],
            &["prompt_tokens_details", "cache_creation_input_tokens"],
            &["cache_creation_input_tokens"],
        ]);
        self.add(Unit::InputTokens, prompt);
        self.add(Unit::OutputTokens, completion);
        let counted = prompt.unwrap_or(0).saturating_add(completion.unwrap_or(0));
        // The total tells what is counted beside prompt and completion.
        let is_beside = |extra: u64| extra > 0 && total == Some(counted.saturating_add(extra));
        // Google's compatible endpoint counts thoughts in the total alone.
        let uncounted = total.and_then(|total| total.checked_sub(counted)).filter(|tokens| *tokens > 0);
        let reasoning = reasoning.or(uncounted.filter(|_| provider == Some("google") && completion.is_some()));
        let is_reasoning_beside = match provider {
            Some("perplexity") => true,
            Some("x-ai") => total.is_none_or(|total| total != counted),
            _ => is_beside(reasoning.unwrap_or(0)),
        };
        if is_reasoning_beside {
            self.add(Unit::OutputTokens, reasoning);
        }
        self.add(Unit::ReasoningTokens, reasoning);
        if is_beside(read.unwrap_or(0).saturating_add(write.unwrap_or(0))) && !is_reasoning_beside {
            self.beside_input(read, write);
        } else {
            self.add(Unit::CacheReadTokens, read);
            self.add(Unit::CacheWriteTokens, write);
        }
        // Qwen, which its name for all of them goes with.
        self.set(Unit::CacheWrite5mTokens, &["prompt_tokens_details", "cache_creation", "ephemeral_5m_input_tokens"]);
        if provider == Some("perplexity") {
            let citations = self.count(&["citation_tokens"]);
            self.add(Unit::OutputTokens, citations);
            self.add(Unit::CitationTokens, citations);
        }
        for (details, parts) in
            [("prompt_tokens_details", PROMPT_PARTS), ("completion_tokens_details", COMPLETION_PARTS)]
        {
            // Most reports have neither.
            if self.report.contains_key(details) {
                for (unit, key) in parts {
                    self.set(*unit, &[details, key]);
                }
            }
        }
        // Most reports have no more.
        if self.report.keys().all(|name| CHAT_NAMES.contains(&name.as_str())) {
            return;
        }
        self.set_first(
            Unit::WebSearches,
            &[
                &["num_search_queries"],
                &["connectors", "web_search"],
                &["server_tool_use_details", "web_search_requests"],
                &["server_tool_use", "web_search_requests"],
                &["server_side_tool_usage_details", "web_search_calls"],
            ],
        );
        // Mistral: what tools of its own brought in, and what was listened to.
        let connectors = self.count(&["connector_tokens"]);
        if is_beside(connectors.unwrap_or(0)) {
            self.add(Unit::InputTokens, connectors);
            self.add(Unit::InputToolTokens, connectors);
        }
        self.set(Unit::AudioSeconds, &["prompt_audio_seconds"]);
        self.compound(provider);
    }

    /// What each model of a compound one used, which Groq bills by those.
    fn compound(&mut self, provider: Option<&str>) {
        let models = self.report.get("usage_breakdown").and_then(|breakdown| breakdown.get("models"));
        let Some(models) = models.and_then(Value::as_array).filter(|models| !models.is_empty()) else { return };
        let attempts = Attempts::of_models(models, &self.meaning.usage, |report| {
            let mut meaning = Meaning::default();
            Reader { report, meaning: &mut meaning }.openai_chat(provider);
            meaning.usage
        });
        self.meaning.inconsistencies.extend(attempts.problem.clone());
        self.meaning.usage = attempts.sum_within(&self.meaning.usage);
        self.meaning.attempts = attempts;
    }

    fn anthropic_counts(&mut self) {
        self.set(Unit::InputTokens, &["input_tokens"]);
        self.set(Unit::OutputTokens, &["output_tokens"]);
        let read = self.count(&["cache_read_input_tokens"]);
        let short = self.count(&["cache_creation", "ephemeral_5m_input_tokens"]);
        let long = self.count(&["cache_creation", "ephemeral_1h_input_tokens"]);
        let parts = (short.is_some() || long.is_some()).then(|| short.unwrap_or(0).saturating_add(long.unwrap_or(0)));
        let write = self.count(&["cache_creation_input_tokens"]).or(parts);
        self.beside_input(read, write);
        self.add(Unit::CacheWrite5mTokens, short);
        self.add(Unit::CacheWrite1hTokens, long);
    }

    fn anthropic_attempts(&mut self, is_refused: bool) {
        let Some(entries) = self.report.get("iterations").and_then(Value::as_array) else { return };
        if entries.is_empty() {
            return;
        }
        let attempts = Attempts::read(entries, &self.meaning.usage, is_refused, |report| {
            let mut meaning = Meaning::default();
            Reader { report, meaning: &mut meaning }.anthropic_counts();
            meaning.usage
        });
        self.meaning.inconsistencies.extend(attempts.problem.clone());
        if !attempts.list.is_empty() {
            self.meaning.usage = attempts.sum();
        }
        self.meaning.attempts = attempts;
    }

    fn openai_responses_or_anthropic(&mut self, is_refused: bool, reading: &Reading) {
        let tally = &reading.tally;
        self.anthropic_counts();
        self.anthropic_attempts(is_refused);
        let has = |details: &&str| self.report.contains_key(*details);
        let inputs = ["input_tokens_details", "input_token_details"].into_iter().filter(has);
        let outputs = ["output_tokens_details", "output_token_details"].into_iter().filter(has);
        for details in inputs {
            self.set_first(
                Unit::CacheReadTokens,
                &[&[details, "cached_tokens"], &[details, "cache_read_input_tokens"]],
            );
            self.set_first(
                Unit::CacheWriteTokens,
                &[&[details, "cache_write_tokens"], &[details, "cache_creation_input_tokens"]],
            );
            self.set(Unit::InputTextTokens, &[details, "text_tokens"]);
            self.set(Unit::InputAudioTokens, &[details, "audio_tokens"]);
            self.set(Unit::InputImageTokens, &[details, "image_tokens"]);
            self.set(Unit::CacheTextReadTokens, &[details, "cached_tokens_details", "text_tokens"]);
            self.set(Unit::CacheAudioReadTokens, &[details, "cached_tokens_details", "audio_tokens"]);
            self.set(Unit::CacheImageReadTokens, &[details, "cached_tokens_details", "image_tokens"]);
        }
        for details in outputs {
            self.set_first(Unit::ReasoningTokens, &[&[details, "reasoning_tokens"], &[details, "thinking_tokens"]]);
            self.set(Unit::OutputTextTokens, &[details, "text_tokens"]);
            self.set(Unit::OutputAudioTokens, &[details, "audio_tokens"]);
            self.set(Unit::OutputImageTokens, &[details, "image_tokens"]);
        }
        self.set_first(
            Unit::WebSearches,
            &[
                &["server_tool_use", "web_search_requests"],
                &["tool_calls_details", "search_web", "invocation"],
                &["server_side_tool_usage_details", "web_search_calls"],
            ],
        );
        // OpenAI counts the calls of its tools beside the usage, or not at all.
        if self.meaning.usage.get(Unit::WebSearches).is_none() {
            let requests = self.count(&["tool_usage", "web_search", "num_requests"]);
            self.add(Unit::WebSearches, some(requests.unwrap_or(tally.web_searches())));
        }
        self.add(Unit::FileSearches, some(tally.file_searches));
        let Meaning { usage, attempts, .. } = &mut *self.meaning;
        attempts.complete(usage);
        self.image_tool(reading);
    }

    /// What OpenAI's responses used to make images, beside their own tokens and by another model.
    fn image_tool(&mut self, reading: &Reading) {
        let report = self.report.get("tool_usage").and_then(|tools| tools.get("image_gen")).and_then(Value::as_object);
        let Some(report) = report else { return };
        let mut images = Meaning::default();
        Reader { report, meaning: &mut images }.openai_responses_or_anthropic(false, &Reading::default());
        if images.usage.iter().all(|(_, count)| count == 0) {
            return;
        }
        let usage = std::mem::take(&mut self.meaning.usage);
        self.meaning.attempts.list = vec![
            Attempt { model: None, is_of_answer: true, usage },
            Attempt { model: reading.tally.image_model.clone(), is_of_answer: false, usage: images.usage },
        ];
        self.meaning.usage = self.meaning.attempts.sum();
    }

    /// Ollama; Llama and Titan on Bedrock.
    fn bare_counts(&mut self) {
        self.set_first(Unit::InputTokens, &[&["prompt_eval_count"], &["prompt_token_count"], &["inputTextTokenCount"]]);
        self.set_first(Unit::OutputTokens, &[&["eval_count"], &["generation_token_count"], &["tokenCount"]]);
    }

    fn invocation_metrics(&mut self) {
        let (read, write) = (self.count(&["cacheReadInputTokenCount"]), self.count(&["cacheWriteInputTokenCount"]));
        self.set(Unit::InputTokens, &["inputTokenCount"]);
        self.set(Unit::OutputTokens, &["outputTokenCount"]);
        self.beside_input(read, write);
    }
}

/// What an API of Gemini calls its counts. Input is beside tool use, output beside thoughts, and the cache within the input.
struct GeminiNames {
    input: &'static str,
    tool: &'static str,
    output: &'static str,
    thoughts: &'static str,
    cached: &'static str,
    input_details: &'static str,
    tool_details: &'static str,
    output_details: &'static str,
    cached_details: &'static str,
    /// Within an entry of the details.
    count: &'static str,
}

const GENERATE_CONTENT: GeminiNames = GeminiNames {
    input: "promptTokenCount",
    tool: "toolUsePromptTokenCount",
    output: "candidatesTokenCount",
    thoughts: "thoughtsTokenCount",
    cached: "cachedContentTokenCount",
    input_details: "promptTokensDetails",
    tool_details: "toolUsePromptTokensDetails",
    output_details: "candidatesTokensDetails",
    cached_details: "cacheTokensDetails",
    count: "tokenCount",
};

const INTERACTIONS: GeminiNames = GeminiNames {
    input: "total_input_tokens",
    tool: "total_tool_use_tokens",
    output: "total_output_tokens",
    thoughts: "total_thought_tokens",
    cached: "total_cached_tokens",
    input_details: "input_tokens_by_modality",
    tool_details: "tool_use_tokens_by_modality",
    output_details: "output_tokens_by_modality",
    cached_details: "cached_tokens_by_modality",
    count: "tokens",
};

/// What every report of a chat counts.
const CHAT_NAMES: [&str; 5] =
    ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"];

const PROMPT_PARTS: &[(Unit, &str)] = &[
    (Unit::InputTextTokens, "text_tokens"),
    (Unit::InputAudioTokens, "audio_tokens"),
    (Unit::InputImageTokens, "image_tokens"),
    (Unit::InputVideoTokens, "video_tokens"),
];

const COMPLETION_PARTS: &[(Unit, &str)] = &[
    (Unit::OutputTextTokens, "text_tokens"),
    (Unit::OutputAudioTokens, "audio_tokens"),
    (Unit::OutputImageTokens, "image_tokens"),
];

const INPUT_MODALITIES: [Option<Unit>; 4] = [
    Some(Unit::InputTextTokens),
    Some(Unit::InputAudioTokens),
    Some(Unit::InputImageTokens),
    Some(Unit::InputVideoTokens),
];

/// A count of what may not have been used at all.
fn some(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

/// A count that is written as a floating-point number, as Cohere does.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range is checked"
)]
pub(super) fn whole(number: f64) -> Option<u64> {
    (number >= 0.0 && number < u64::MAX as f64).then(|| number.round() as u64)
}
