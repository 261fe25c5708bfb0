use std::{sync::LazyLock, time::Duration};

use aho_corasick::packed::Searcher;
use memchr::memmem;
use serde_json::{Map, Value};

use crate::{
    body::json_scan::{JsonScanner, Node, Roots, Want},
    body::request_fields::scalar_text,
    text::cut_name,
};

use super::{Money, tally::Tally, tap::HeaderFacts};

/// What a response said, as far as it went.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the response")]
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) service_tier: Option<String>,
    /// The tier that a header names.
    header_tier: Option<String>,
    /// Who serves what Hugging Face hands on.
    pub(super) inference_provider: Option<String>,
    /// A gateway answered from its cache.
    pub(super) is_from_cache: bool,
    /// What LiteLLM says that the call costs, in a header: of a stream it can't know yet.
    pub(super) header_cost: Option<Money>,
    /// The provider that OpenRouter names.
    pub(super) served_by: bool,
    pub(super) is_groq: bool,
    pub(super) is_cerebras: bool,
    /// All counts that were reported, the last value of each.
    pub(super) usage: Map<String, Value>,
    /// They are of a choice: the response did not count as a whole.
    usage_is_of_choice: bool,
    /// What Bedrock counted itself.
    pub(super) metrics: Map<String, Value>,
    /// The response says that its usage is final.
    pub(super) is_final: bool,
    /// The document at hand says that its counts are final; they may stand behind that in it.
    is_ending: bool,
    /// It would say so at its end, so that an end without it is none.
    pub(super) says_when_final: bool,
    /// An error came in place of an answer.
    pub(super) is_error: bool,
    /// A model of Anthropic declined to answer.
    pub(super) is_refused: bool,
    /// It could not be read, or not to the end.
    pub(super) is_unparsed: bool,
    pub(super) tally: Tally,
    /// Seconds of what was transcribed, as an answer tells of them beside its counts.
    pub(super) duration: Option<Value>,
    pub(super) first_token: Option<Duration>,
    document: Document,
}

/// What was found in the document at hand.
#[derive(Debug, Default)]
struct Document {
    /// The values, behind each other.
    text: Vec<u8>,
    /// The names of the values and their lengths; `None` for one that is too long.
    values: Vec<(Field, Option<usize>)>,
    has_mark: bool,
    tally: Tally,
}

/// Most values of a document that count, and bytes that are kept for those of the next.
const MAX_VALUES: usize = 64;
/// Most models of a document that are looked at.
const MAX_MODELS: usize = 8;
const MAX_KEPT_TEXT: usize = 4096;

/// What is wanted of a response document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Model,
    ServiceTier,
    /// An object of counts.
    Usage,
    /// One of Gemini's, which stands in every part of a stream.
    RunningUsage,
    /// One that stands at the beginning of a stream, whose output is a placeholder.
    FirstUsage,
    GroqUsage,
    /// What only Groq says.
    GroqMark,
    /// What only Cerebras says.
    CerebrasMark,
    /// One of a choice, where Moonshot counts a stream.
    ChoiceUsage,
    BilledUnits,
    Tokens,
    Metrics,
    /// How long what was transcribed is.
    Duration,
    /// A count beside everything else, under this name.
    Count(&'static str),
    Type,
    Done,
    /// Why an answer ends.
    Finish,
    /// The same of Anthropic.
    StopReason,
    /// The same of Gemini, in the last part of a stream.
    FinishReason,
    NoChoices,
    /// What OpenAI made, and what a tool of it did.
    Item,
    Action,
    /// What Gemini searched for.
    Queries,
    EmbeddedTokens,
    /// The type and the model of a tool of OpenAI's, and what tools used.
    ToolType,
    ToolModel,
    ToolUsage,
    /// The model that Bedrock's router chose, as an ARN.
    InvokedModel,
    /// What can be empty and means nothing then.
    Nothing,
    DocumentEnd,
    ServedBy,
    Error,
}

impl Field {
    /// Whether a document with this value has one of the [marks](speaks_of_usage).
    fn is_mark(self, value: &[u8]) -> bool {
        match self {
            Self::Usage
            | Self::RunningUsage
            | Self::FirstUsage
            | Self::GroqUsage
            | Self::ChoiceUsage
            | Self::Count(_)
            | Self::FinishReason
            | Self::Error => true,
            Self::Type => MARKED_TYPES.contains(&value),
            _ => false,
        }
    }
}

/// Types of events that are marks.
const MARKED_TYPES: [&[u8]; 3] = [b"\"message_stop\"", b"\"message_delta\"", b"\"message-end\""];

/// Whether bytes may hold a mark: the name of a count, what ends a stream, or an error. Without one, an event of a stream need
/// not be looked at.
pub(super) fn speaks_of_usage(bytes: &[u8]) -> bool {
    // `None` where it can't look at many bytes at a time: everything is looked at then.
    static MARKS: LazyLock<Option<Searcher>> =
        LazyLock::new(|| Searcher::new(["\"usage", "ount\"", "[DONE]", "\"message", "\"finishReason\"", "\"error\""]));
    MARKS.as_ref().is_none_or(|marks| marks.find(bytes).is_some())
}

const USAGE: Node<Field> = Node { key: "usage", want: Want::Value(Field::Usage) };
const USAGE_METADATA: Node<Field> = Node { key: "usageMetadata", want: Want::Value(Field::RunningUsage) };
const ID: Node<Field> = Node { key: "id", want: Want::Value(Field::Id) };
const MODEL: Node<Field> = Node { key: "model", want: Want::Value(Field::Model) };
const MODEL_VERSION: Node<Field> = Node { key: "modelVersion", want: Want::Value(Field::Model) };
const STOP_REASON: Node<Field> = Node { key: "stop_reason", want: Want::Value(Field::StopReason) };
const SERVICE_TIER: Node<Field> = Node { key: "service_tier", want: Want::Value(Field::ServiceTier) };

/// Cohere: embed, and chat v1.
const META: Node<Field> = Node {
    key: "meta",
    want: Want::Object(&[
        Node { key: "billed_units", want: Want::Value(Field::BilledUnits) },
        Node { key: "tokens", want: Want::Value(Field::Tokens) },
    ]),
};
/// OpenAI responses: what was made, calls of tools among it.
const OUTPUT: Node<Field> = Node {
    key: "output",
    want: Want::Array(
        &[
            Node { key: "type", want: Want::Value(Field::Item) },
            Node { key: "action", want: Want::Object(&[Node { key: "type", want: Want::Value(Field::Action) }]) },
        ],
        Field::Nothing,
    ),
};
/// The tools that there were: one of them may make images, by a model of its own.
const TOOLS: Node<Field> = Node {
    key: "tools",
    want: Want::Array(
        &[
            Node { key: "type", want: Want::Value(Field::ToolType) },
            Node { key: "model", want: Want::Value(Field::ToolModel) },
        ],
        Field::Nothing,
    ),
};
const TOOL_USAGE: Node<Field> = Node { key: "tool_usage", want: Want::Value(Field::ToolUsage) };
/// What each model of a compound one used.
const USAGE_BREAKDOWN: Node<Field> = count("usage_breakdown");
const RESPONSE_ID: Node<Field> = Node { key: "response_id", want: Want::Value(Field::Id) };

const fn count(key: &'static str) -> Node<Field> {
    Node { key, want: Want::Value(Field::Count(key)) }
}

static WANTED: [Node<Field>; 42] = [
    ID,
    MODEL,
    STOP_REASON,
    SERVICE_TIER,
    USAGE,
    USAGE_METADATA,
    MODEL_VERSION,
    Node { key: "responseId", want: Want::Value(Field::Id) },
    Node { key: "usage_info", want: Want::Value(Field::Usage) },
    Node { key: "type", want: Want::Value(Field::Type) },
    // Gemini interactions.
    Node { key: "event_type", want: Want::Value(Field::Type) },
    Node { key: "done", want: Want::Value(Field::Done) },
    Node {
        key: "choices",
        want: Want::Array(
            &[
                Node { key: "finish_reason", want: Want::Value(Field::Finish) },
                Node { key: "usage", want: Want::Value(Field::ChoiceUsage) },
            ],
            Field::NoChoices,
        ),
    },
    // Gemini.
    Node {
        key: "candidates",
        want: Want::Array(
            &[
                Node { key: "finishReason", want: Want::Value(Field::FinishReason) },
                Node {
                    key: "groundingMetadata",
                    want: Want::Object(&[
                        Node { key: "webSearchQueries", want: Want::Value(Field::Queries) },
                        Node { key: "imageSearchQueries", want: Want::Value(Field::Queries) },
                    ]),
                },
            ],
            Field::Nothing,
        ),
    },
    Node {
        key: "promptFeedback",
        want: Want::Object(&[Node { key: "blockReason", want: Want::Value(Field::Finish) }]),
    },
    // Vertex.
    Node {
        key: "predictions",
        want: Want::Array(
            &[Node {
                key: "embeddings",
                want: Want::Object(&[Node {
                    key: "statistics",
                    want: Want::Object(&[Node { key: "token_count", want: Want::Value(Field::EmbeddedTokens) }]),
                }]),
            }],
            Field::Nothing,
        ),
    },
    // Bedrock Converse.
    Node {
        key: "trace",
        want: Want::Object(&[Node {
            key: "promptRouter",
            want: Want::Object(&[Node { key: "invokedModelId", want: Want::Value(Field::InvokedModel) }]),
        }]),
    },
    Node { key: "serviceTier", want: Want::Object(&[Node { key: "type", want: Want::Value(Field::ServiceTier) }]) },
    Node { key: "provider", want: Want::Value(Field::ServedBy) },
    Node { key: "error", want: Want::Value(Field::Error) },
    // Anthropic: message_start.
    Node {
        key: "message",
        want: Want::Object(&[ID, MODEL, Node { key: "usage", want: Want::Value(Field::FirstUsage) }]),
    },
    // OpenAI responses: response.completed and others. Gemini Code Assist wraps its answer the same way, Cohere v1 that of a
    // stream.
    Node {
        key: "response",
        want: Want::Object(&[
            ID,
            MODEL,
            MODEL_VERSION,
            SERVICE_TIER,
            USAGE,
            USAGE_METADATA,
            RESPONSE_ID,
            META,
            OUTPUT,
            TOOLS,
            TOOL_USAGE,
        ]),
    },
    OUTPUT,
    TOOLS,
    TOOL_USAGE,
    // Gemini interactions: interaction.created and interaction.completed.
    Node { key: "interaction", want: Want::Object(&[ID, MODEL, SERVICE_TIER, USAGE]) },
    // Cohere: message-end. Anthropic: message_delta.
    Node { key: "delta", want: Want::Object(&[USAGE, STOP_REASON]) },
    Node {
        key: "x_groq",
        want: Want::Object(&[
            Node { key: "usage", want: Want::Value(Field::GroqUsage) },
            USAGE_BREAKDOWN,
            Node { key: "id", want: Want::Value(Field::GroqMark) },
            // It comes beside the usage, when a stream was stopped early.
            Node { key: "error", want: Want::Value(Field::Error) },
        ]),
    },
    USAGE_BREAKDOWN,
    Node {
        key: "time_info",
        want: Want::Object(&[Node { key: "queue_time", want: Want::Value(Field::CerebrasMark) }]),
    },
    Node { key: "duration", want: Want::Value(Field::Duration) },
    META,
    RESPONSE_ID,
    // Mistral conversations.
    Node { key: "outputs", want: Want::Array(&[MODEL], Field::Nothing) },
    // Workers AI.
    Node { key: "result", want: Want::Object(&[MODEL, USAGE]) },
    Node { key: "amazon-bedrock-invocationMetrics", want: Want::Value(Field::Metrics) },
    // Ollama.
    count("prompt_eval_count"),
    count("eval_count"),
    // Llama and Titan on Bedrock.
    count("prompt_token_count"),
    count("generation_token_count"),
    count("inputTextTokenCount"),
    Node { key: "results", want: Want::Array(&[count("tokenCount")], Field::Nothing) },
];

impl Reading {
    /// Nothing but what headers said.
    pub(super) fn after_headers(facts: Option<Box<HeaderFacts>>) -> Self {
        let HeaderFacts { metrics, service_tier, inference_provider, is_from_cache, cost } =
            facts.map(|facts| *facts).unwrap_or_default();
        let header_tier = service_tier;
        Self { metrics, header_tier, inference_provider, is_from_cache, header_cost: cost, ..Self::default() }
    }

    /// Whether enough of the beginning was seen to know what answers.
    pub(super) fn has_head(&self) -> bool {
        self.model.is_some()
    }

    /// Looks for the tier that served where an answer does not name it by itself: among the counts (Anthropic and Gemini),
    /// or in a header (Gemini and Bedrock).
    pub(super) fn find_tier(&mut self) {
        if self.service_tier.is_some() {
            return;
        }
        let count = |key: &str| self.usage.get(key)?.as_str();
        // Of Vertex, which names the kind of its traffic.
        let by_traffic = || match count("trafficType")? {
            "ON_DEMAND_FLEX" => Some("flex"),
            "ON_DEMAND_PRIORITY" => Some("priority"),
            "PROVISIONED_THROUGHPUT" => Some("provisioned_throughput"),
            _ => None,
        };
        // Anthropic's fast mode, which it names beside the tier.
        let by_speed = || count("speed").filter(|speed| *speed == "fast");
        let tier = by_speed().or_else(|| count("service_tier")).or_else(|| count("serviceTier")).or_else(by_traffic);
        self.service_tier = tier.map(|tier| cut_name(tier.to_owned())).or_else(|| self.header_tier.take());
    }

    /// Whether there is any trace of an LLM.
    pub(super) fn is_llm(&self) -> bool {
        self.model.is_some() || !self.usage.is_empty() || !self.metrics.is_empty() || self.tally.embedded_tokens > 0
    }

    /// The response broke off in the middle of its only document.
    pub(super) fn break_off(&mut self) {
        *self = Self {
            is_unparsed: true,
            is_error: self.is_error,
            first_token: self.first_token,
            // What headers said stays true.
            metrics: std::mem::take(&mut self.metrics),
            header_tier: self.header_tier.take(),
            header_cost: self.header_cost,
            inference_provider: self.inference_provider.take(),
            is_from_cache: self.is_from_cache,
            ..Self::default()
        };
    }

    /// Takes a value of the document at hand in, as it is written. It counts once the document is complete, and only if
    /// every document does, or this one has [marks](speaks_of_usage): so what counts does not depend on what was skipped.
    pub(super) fn take(&mut self, field: Field, value: Option<&[u8]>, every_counts: bool) {
        if let Field::DocumentEnd = field {
            let Document { text, values, has_mark, tally } = std::mem::take(&mut self.document);
            if every_counts || has_mark {
                self.tally.take_all(tally);
                let mut start = 0;
                for (field, len) in &values {
                    let value = len.and_then(|len| text.get(start..start + len));
                    start += len.unwrap_or(0);
                    self.apply(*field, value);
                }
                // An answer may end before its usage is told.
                let has_usage = !(self.usage.is_empty() && self.metrics.is_empty());
                self.is_final |= std::mem::take(&mut self.is_ending) && has_usage;
            }
            // The buffers are for the next one.
            self.document = Document { text, values, ..Document::default() };
            return self.clear_document();
        }
        let document = &mut self.document;
        if document.tally.take(field, value) {
            return;
        }
        if document.values.is_empty() {
            // What most documents need.
            document.values.reserve(16);
            document.text.reserve(256);
        }
        document.has_mark |= field.is_mark(value.unwrap_or_default());
        // Of many choices one that ends says as much as all do.
        let is_repeated = matches!(field, Field::Finish | Field::FinishReason | Field::Nothing)
            && (value == Some(b"null") || document.values.iter().any(|(other, _)| *other == field));
        // The first that is no empty text names the model.
        let is_one_of_many =
            field == Field::Model && document.values.iter().filter(|(other, _)| *other == field).count() >= MAX_MODELS;
        if document.values.len() < MAX_VALUES && !is_repeated && !is_one_of_many {
            document.values.push((field, value.map(<[u8]>::len)));
            document.text.extend_from_slice(value.unwrap_or_default());
        }
    }

    /// Forgets a document that does not become complete.
    pub(super) fn clear_document(&mut self) {
        self.document.text.clear();
        self.document.text.shrink_to(MAX_KEPT_TEXT);
        self.document.values.clear();
        self.document.has_mark = false;
        self.document.tally = Tally::default();
    }

    fn apply(&mut self, field: Field, value: Option<&[u8]>) {
        let Some(value) = value else {
            self.is_unparsed |= matches!(
                field,
                Field::Usage | Field::RunningUsage | Field::FirstUsage | Field::GroqUsage | Field::ChoiceUsage
            );
            return;
        };
        match field {
            Field::Id => self.id = self.id.take().or_else(|| name_text(value)),
            Field::Model => self.model = self.model.take().or_else(|| name_text(value)),
            Field::InvokedModel => self.model = name_text(value).map(|arn| without_arn(&arn).to_owned()),
            Field::ServiceTier => self.service_tier = name_text(value).or_else(|| self.service_tier.take()),
            Field::RunningUsage => {
                self.says_when_final = true;
                merge(&mut self.usage, value, &mut self.is_unparsed);
            }
            Field::Usage => {
                self.usage_is_of_choice &= value == b"null";
                merge(&mut self.usage, value, &mut self.is_unparsed);
            }
            Field::ChoiceUsage if self.usage.is_empty() || self.usage_is_of_choice => {
                merge(&mut self.usage, value, &mut self.is_unparsed);
                self.usage_is_of_choice = true;
            }
            Field::FirstUsage => {
                merge(&mut self.usage, value, &mut self.is_unparsed);
                self.says_when_final = true;
                // The first of a stream, which counts what is written so far: no result.
                self.usage.remove("output_tokens");
                self.usage.remove("iterations");
            }
            Field::GroqMark => self.is_groq = true,
            Field::CerebrasMark => self.is_cerebras = true,
            Field::Duration => self.duration = serde_json::from_slice(value).ok(),
            Field::GroqUsage => {
                self.is_groq = true;
                self.is_ending = true;
                merge(&mut self.usage, value, &mut self.is_unparsed);
            }
            Field::BilledUnits => self.set("billed_units", value),
            Field::Tokens => self.set("tokens", value),
            Field::Metrics => {
                self.is_ending = true;
                merge(&mut self.metrics, value, &mut self.is_unparsed);
            }
            Field::Count(name) => self.set(name, value),
            Field::Type => self.take_type(value),
            Field::Done => self.is_ending |= value == b"true",
            // The last chunk of an OpenAI stream, which says nothing but usage.
            Field::NoChoices => self.is_ending = true,
            Field::Finish | Field::FinishReason => self.is_ending |= value != b"null",
            Field::StopReason => {
                self.is_ending |= value != b"null";
                self.is_refused |= value == b"\"refusal\"";
            }
            Field::ServedBy => self.served_by = true,
            // Some servers always have the member.
            Field::Error => self.is_error |= !matches!(value, b"null" | b"\"\"" | b"{}" | b"false"),
            Field::ToolUsage => self.set("tool_usage", value),
            Field::ChoiceUsage
            | Field::Item
            | Field::Action
            | Field::Queries
            | Field::EmbeddedTokens
            | Field::ToolType
            | Field::ToolModel
            | Field::Nothing
            | Field::DocumentEnd => {}
        }
    }

    fn take_type(&mut self, value: &[u8]) {
        match value {
            // The last of Anthropic; of OpenAI responses, images and transcriptions; of Cohere.
            b"\"message_stop\""
            | b"\"response.completed\""
            | b"\"response.incomplete\""
            | b"\"response.failed\""
            | b"\"image_generation.completed\""
            | b"\"image_edit.completed\""
            | b"\"transcript.text.done\""
            | b"\"speech.audio.done\""
            | b"\"conversation.response.done\""
            | b"\"interaction.completed\""
            | b"\"interaction.complete\""
            | b"\"message-end\"" => self.is_ending = true,
            b"\"interaction.created\"" | b"\"interaction.start\"" => self.says_when_final = true,
            b"\"error\"" => self.is_error = true,
            _ => {}
        }
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        match serde_json::from_slice(value) {
            Ok(Value::Null) => {}
            Ok(value) => _ = self.usage.insert(name.to_owned(), value),
            Err(_) => self.is_unparsed = true,
        }
    }
}

/// Most counts of a report. Providers have some twenty.
const MAX_COUNTS: usize = 64;

/// Writes the members of an object over those that are there. `null` is no value.
fn merge(into: &mut Map<String, Value>, object: &[u8], is_unparsed: &mut bool) {
    match serde_json::from_slice(object) {
        Ok(Value::Object(mut members)) => {
            members.retain(|_, value| !value.is_null());
            // The only report there is, mostly.
            if into.is_empty() && members.len() <= MAX_COUNTS {
                *into = members;
                return;
            }
            for (name, value) in members {
                if into.len() < MAX_COUNTS || into.contains_key(&name) {
                    into.insert(name, value);
                }
            }
        }
        Ok(Value::Null) => {}
        Ok(_) | Err(_) => *is_unparsed = true,
    }
}

/// The name at the end of an ARN of Bedrock, or the name as it is.
pub(super) fn without_arn(name: &str) -> &str {
    if name.starts_with("arn:") { name.rsplit('/').next().unwrap_or(name) } else { name }
}

/// A name, unless it is empty: Azure begins with such ones.
pub(super) fn name_text(value: &[u8]) -> Option<String> {
    scalar_text(value).filter(|text| !text.is_empty()).map(cut_name)
}

/// A scanner for response documents.
pub(super) fn scanner(roots: Roots, max_value_bytes: usize) -> JsonScanner<Field> {
    JsonScanner::new(&WANTED, roots, max_value_bytes).names_end(Field::DocumentEnd)
}

/// Members whose text is what a model says.
const CONTENT_KEYS: [&[u8]; 15] = [
    b"\"content\"",
    b"\"text\"",
    b"\"delta\"",
    b"\"thinking\"",
    b"\"reasoning_content\"",
    b"\"reasoning\"",
    b"\"partial_json\"",
    b"\"arguments\"",
    b"\"response\"",
    b"\"refusal\"",
    b"\"transcript\"",
    b"\"tool_plan\"",
    // Of tools, by Bedrock Converse.
    b"\"input\"",
    b"\"b64_json\"",
    b"\"partial_image_b64\"",
];

/// Members that are objects which a model makes: calls of Gemini and Ollama, images of Gemini.
const CONTENT_OBJECTS: [&[u8]; 4] = [b"\"functionCall\"", b"\"inlineData\"", b"\"executableCode\"", b"\"arguments\""];

/// Types of events that repeat the request: OpenAI responses.
const ECHOES: [&[u8]; 3] = [b"\"response.created\"", b"\"response.in_progress\"", b"\"response.queued\""];

/// Whether the text of a stream's event bears content: a member of one of those names that is text or an object, and not empty.
pub(super) fn has_content(text: &[u8]) -> bool {
    // Whether a member of one of the names begins so, and does not end at once.
    let has = |keys: &[&[u8]], begin: &[u8], end: u8| {
        keys.iter().any(|key| {
            memmem::find_iter(text, key).any(|at| {
                let behind = text.get(at + key.len()..).unwrap_or_default().trim_ascii_start();
                let value = behind.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
                value
                    .and_then(|value| value.strip_prefix(begin))
                    .is_some_and(|within| within.first().is_some_and(|byte| *byte != end))
            })
        })
    };
    (has(&CONTENT_KEYS, b"\"", b'"') || has(&CONTENT_OBJECTS, b"{", b'}'))
        && !ECHOES.iter().any(|echo| memmem::find(text, echo).is_some())
}

#[cfg(test)]
mod tests {
    use super::{has_content, speaks_of_usage};

    #[test]
    fn content_is_text_or_an_object_that_is_not_empty() {
        for text in [
            r#"{"delta":{"content":"a"}}"#,
            r#"{ "text" : " " }"#,
            r#"{"delta":{"toolUse":{"input":"{\"a"}}}"#,
            r#"{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}}"#,
            r#"{"parts":[{"inlineData":{"mimeType":"image/png"}}]}"#,
            r#"{"type":"response.image_generation_call.partial_image","partial_image_b64":"aGk="}"#,
            r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I"}}}"#,
        ] {
            assert!(has_content(text.as_bytes()), "{text}");
        }
        for text in [
            r#"{"delta":{"content":""}}"#,
            r#"{"content":null,"text":["a"],"arguments":{}}"#,
            r#"{"type":"response.queued","response":{"prompt":{"variables":{"text":"Bob"}}}}"#,
            r#"{"type":"content"}"#,
        ] {
            assert!(!has_content(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn marks_are_found_and_nothing_else() {
        let chunk =
            br#"data: {"model":"m","choices":[{"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}"#;
        assert!(!speaks_of_usage(chunk));
        for text in [
            "x\"usage\":1",
            "{\"error\":",
            "\"usageMetadata\"",
            "[DONE]",
            "{\"type\":\"message_stop\"}",
            "\"promptTokenCount\"",
        ] {
            assert!(speaks_of_usage(text.as_bytes()), "{text}");
        }
    }
}
