use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, Method, request::Parts};

use crate::text::cut_name;

/// What an LLM API was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Chat completions in the shape of OpenAI, Mistral, Cohere v2, Ollama and others.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Embeddings.
    Embeddings,
    /// Images.
    Images,
    /// Text completions without a chat.
    Completions,
    /// Anthropic messages.
    Messages,
    /// Gemini and Vertex `generateContent`, streamed or not.
    GenerateContent,
    /// Gemini interactions.
    Interactions,
    /// Bedrock Converse.
    Converse,
    /// Bedrock `InvokeModel`.
    InvokeModel,
    /// Ollama `generate`.
    Generate,
    /// Text out of audio.
    Transcription,
    /// Audio out of text.
    Speech,
    /// Text out of documents.
    Ocr,
    /// Documents by how well they answer.
    Rerank,
    /// Something else, by the name you give it.
    Other(Cow<'static, str>),
}

impl Operation {
    /// The name as it stands in a serialized event, such as `generate_content`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Images => "images",
            Self::Completions => "completions",
            Self::Messages => "messages",
            Self::GenerateContent => "generate_content",
            Self::Interactions => "interactions",
            Self::Converse => "converse",
            Self::InvokeModel => "invoke_model",
            Self::Generate => "generate",
            Self::Transcription => "transcription",
            Self::Speech => "speech",
            Self::Ocr => "ocr",
            Self::Rerank => "rerank",
            Self::Other(name) => name,
        }
    }
}

impl Operation {
    /// The operation of this name.
    pub(super) fn of_name(name: &str) -> Self {
        let known = [
            Self::Chat,
            Self::Responses,
            Self::Embeddings,
            Self::Images,
            Self::Completions,
            Self::Messages,
            Self::GenerateContent,
            Self::Interactions,
            Self::Converse,
            Self::InvokeModel,
            Self::Generate,
            Self::Transcription,
            Self::Speech,
            Self::Ocr,
            Self::Rerank,
        ];
        known
            .into_iter()
            .find(|operation| operation.as_str() == name)
            .unwrap_or_else(|| Self::Other(name.to_owned().into()))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An LLM API call, as far as its request head tells.
///
/// [`LlmEndpoint::detect`] knows the paths of the usual APIs; for routes of your own, name it in
/// [`UsageTap::exchange`](super::UsageTap::exchange).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmEndpoint {
    pub(super) operation: Operation,
    /// Who serves it, where code or the path says so.
    pub(super) provider: Option<Cow<'static, str>>,
    /// Who does when nothing says more.
    pub(super) default_provider: Option<&'static str>,
    /// What a gateway header of the client says. Only a hint: it may say anything.
    pub(super) hint: Option<Box<str>>,
    pub(super) model: Option<String>,
    pub(super) stream: Option<bool>,
    /// The path may belong to something else: without a trace of an LLM in the response it is no exchange.
    pub(super) is_tentative: bool,
}

impl LlmEndpoint {
    /// A call of this provider, by its id in the `genai-prices` catalog: `openai`, `anthropic`, `google`, …
    pub fn new(provider: impl Into<Cow<'static, str>>, operation: Operation) -> Self {
        Self { provider: Some(provider.into()), ..Self::of(operation) }
    }

    fn of(operation: Operation) -> Self {
        Self {
            operation,
            provider: None,
            default_provider: None,
            hint: None,
            model: None,
            stream: None,
            is_tentative: false,
        }
    }

    /// Names the model, where the request body does not.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Says that the response is a stream, for one that is a JSON array or JSON documents behind each other. Server-sent
    /// events and the like are known by their content type.
    #[must_use]
    pub fn streams(mut self) -> Self {
        self.stream = Some(true);
        self
    }

    /// The call that this request head is, by its method and path; `None` when it is none that is known.
    ///
    /// ```
    /// use tower_tagging::usage::LlmEndpoint;
    ///
    /// let (head, ()) = http::Request::post("/v1/chat/completions").body(()).unwrap().into_parts();
    /// assert_eq!(LlmEndpoint::detect(&head).unwrap().operation().as_str(), "chat");
    /// let (head, ()) = http::Request::post("/users").body(()).unwrap().into_parts();
    /// assert!(LlmEndpoint::detect(&head).is_none());
    /// ```
    pub fn detect(head: &Parts) -> Option<Self> {
        let path = head.uri.path();
        let mut exchange = match head.method {
            Method::POST => by_path(path)?,
            // A completion that xAI deferred, which can be fetched once.
            Method::GET if path.rsplit_once('/')?.0.ends_with("/v1/chat/deferred-completion") => {
                let exchange = Self { default_provider: Some("x-ai"), ..Self::of(Operation::Chat) };
                Self { is_tentative: true, ..exchange }
            }
            _ => return None,
        };
        exchange.hint = hint(&head.headers);
        Some(exchange)
    }

    /// What was asked for.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }
}

fn by_path(path: &str) -> Option<LlmEndpoint> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let openai = |operation| LlmEndpoint { default_provider: Some("openai"), ..LlmEndpoint::of(operation) };
    let known = |provider, operation| LlmEndpoint { default_provider: Some(provider), ..LlmEndpoint::of(operation) };
    let tentative = |exchange| LlmEndpoint { is_tentative: true, ..exchange };
    let (before, last) = path.rsplit_once('/')?;
    if last == "inference:complete" && before.ends_with("/cortex") {
        return Some(known("snowflake", Operation::Chat));
    }
    if let Some(at) = memchr::memmem::find(path.as_bytes(), b"/@cf/") {
        // Workers AI, by itself or behind Cloudflare's gateway.
        let model = path.get(at + 1..)?;
        return Some(tentative(known("cloudflare", Operation::Chat)).model(decoded(model)));
    }
    // Some clients encode the colon.
    if let Some((model, call)) =
        last.rsplit_once(':').or_else(|| last.rsplit_once("%3A")).or_else(|| last.rsplit_once("%3a"))
    {
        return google(before, model, call);
    }
    let exchange = match last {
        "completions" if before.ends_with("/chat") => openai(Operation::Chat),
        "chatcompletion_v2" if before.ends_with("/v1/text") => known("minimax", Operation::Chat),
        "sonar" if before.ends_with("/v1") => tentative(known("perplexity", Operation::Chat)),
        "completions" if before.ends_with("/agents") => known("mistral", Operation::Chat),
        "completions" if before.ends_with("/v1") || before.contains("/deployments/") => openai(Operation::Completions),
        // Of a prompt that is kept with Portkey.
        "completions" if before.rsplit_once('/').is_some_and(|(folder, _)| folder.ends_with("/prompts")) => {
            tentative(openai(Operation::Chat))
        }
        "completions" => tentative(openai(Operation::Completions)),
        "responses" if ["/v1", "/openai", "/codex"].iter().any(|end| before.ends_with(end)) => {
            openai(Operation::Responses)
        }
        "responses" | "open-responses" if before.ends_with("/serving-endpoints") => {
            known("databricks", Operation::Responses)
        }
        "invocations" => tentative(known("databricks", Operation::Chat)).model(decoded(endpoint(before)?)),
        // A conversation that is summarized.
        "compact"
            if ["/v1/responses", "/openai/responses", "/codex/responses"].iter().any(|end| before.ends_with(end)) =>
        {
            openai(Operation::Responses)
        }
        "compact" if before == "/responses" => tentative(openai(Operation::Responses)),
        "responses" if before.is_empty() || is_version(before) => tentative(openai(Operation::Responses)),
        // Perplexity's name for them.
        "agent" if before.ends_with("/v1") => tentative(openai(Operation::Responses)),
        // Of one project, in Vertex.
        "interactions" if ["/v1", "/v1beta", "/v1alpha"].contains(&before) || before.contains("/locations/") => {
            tentative(known("google", Operation::Interactions))
        }
        "embeddings" if before == "/api" => known("ollama", Operation::Embeddings),
        // DashScope.
        "generation" if before.contains("/services/aigc/") => known("alibaba", Operation::Chat),
        "embeddings" if before.ends_with("/v1") || before.contains("/openai") => openai(Operation::Embeddings),
        "embeddings" => tentative(openai(Operation::Embeddings)),
        "contextualizedembeddings" | "multimodalembeddings" if before.ends_with("/v1") => {
            known("voyageai", Operation::Embeddings)
        }
        "rerank" if before.ends_with("/v2") => tentative(known("cohere", Operation::Rerank)),
        "rerank" if before.ends_with("/v1") => tentative(LlmEndpoint::of(Operation::Rerank)),
        "generations" | "edits" | "variations" if before.ends_with("/images") => openai(Operation::Images),
        "images" if before.ends_with("/v1") => tentative(openai(Operation::Images)),
        "speech" if before.ends_with("/audio") => tentative(openai(Operation::Speech)),
        "transcriptions" | "translations" if before.ends_with("/audio") => openai(Operation::Transcription),
        "messages" if before.ends_with("/v1") => known("anthropic", Operation::Messages),
        "embed" if before.ends_with("/api") => tentative(known("ollama", Operation::Embeddings)),
        "embed" if before.ends_with("/v1") || before.ends_with("/v2") => known("cohere", Operation::Embeddings),
        "chat" if before.ends_with("/api") => tentative(known("ollama", Operation::Chat)),
        // LM Studio.
        "chat" if before.ends_with("/api/v1") => tentative(LlmEndpoint::of(Operation::Chat)),
        "chat" if before.ends_with("/v1") || before.ends_with("/v2") => tentative(known("cohere", Operation::Chat)),
        "conversations" if before.ends_with("/v1") => tentative(known("mistral", Operation::Chat)),
        "restart" if before.contains("/v1/conversations/") => tentative(known("mistral", Operation::Chat)),
        _ if before.ends_with("/v1/conversations") => tentative(known("mistral", Operation::Chat)),
        "generate" if before.ends_with("/api") => tentative(known("ollama", Operation::Generate)),
        "ocr" if before.ends_with("/providers/mistral/azure") => known("azure", Operation::Ocr),
        "ocr" if before.ends_with("/v1") => known("mistral", Operation::Ocr),
        "layout_parsing" if before.contains("/paas/") => known("zai", Operation::Ocr),
        "converse" | "converse-stream" => bedrock(before, Operation::Converse, last == "converse-stream")?,
        "invoke" | "invoke-with-response-stream" => {
            bedrock(before, Operation::InvokeModel, last == "invoke-with-response-stream")?
        }
        _ => return None,
    };
    Some(match deployment(path) {
        Some(name) => LlmEndpoint { default_provider: Some("azure"), ..exchange }.model(decoded(name)),
        None => exchange,
    })
}

/// Whether a path ends in a version, such as `/api/v3`.
fn is_version(path: &str) -> bool {
    path.rsplit_once("/v").is_some_and(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The name in a path of Databricks': `/serving-endpoints/{name}/invocations`.
fn endpoint(before: &str) -> Option<&str> {
    let (folder, name) = before.rsplit_once('/')?;
    folder.ends_with("/serving-endpoints").then_some(name)
}

/// The name in a path of Azure's: `…/openai/deployments/{name}/…`.
fn deployment(path: &str) -> Option<&str> {
    const FOLDERS: &str = "/openai/deployments/";
    let at = memchr::memmem::find(path.as_bytes(), FOLDERS.as_bytes())?;
    path.get(at + FOLDERS.len()..)?.split('/').next()
}

fn google(before: &str, model: &str, call: &str) -> Option<LlmEndpoint> {
    let raw = || {
        // The API of who publishes the model.
        let is_anthropic = before.ends_with("/publishers/anthropic/models");
        if is_anthropic { Operation::Messages } else { Operation::Chat }
    };
    let (operation, stream) = match call {
        "generateContent" => (Operation::GenerateContent, false),
        "streamGenerateContent" => (Operation::GenerateContent, true),
        "rawPredict" | "streamRawPredict" if model == "count-tokens" => return None,
        "rawPredict" => (raw(), false),
        "streamRawPredict" => (raw(), true),
        // Of Vertex, where models that embed are called so, and others that count no tokens.
        "predict" => {
            let exchange = LlmEndpoint { default_provider: Some("google"), ..LlmEndpoint::of(Operation::Embeddings) };
            return Some(LlmEndpoint { is_tentative: true, ..exchange }.model(decoded(model)));
        }
        "embedContent" | "batchEmbedContents" => (Operation::Embeddings, false),
        _ => return None,
    };
    let exchange = LlmEndpoint { default_provider: Some("google"), stream: Some(stream), ..LlmEndpoint::of(operation) };
    Some(exchange.model(decoded(model)))
}

fn bedrock(before: &str, operation: Operation, stream: bool) -> Option<LlmEndpoint> {
    let (_, model) = before.rsplit_once("/model/")?;
    let exchange = LlmEndpoint { default_provider: Some("aws"), stream: Some(stream), ..LlmEndpoint::of(operation) };
    Some(exchange.model(decoded(model)))
}

fn decoded(text: &str) -> String {
    cut_name(percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned())
}

const PORTKEY_PROVIDER: HeaderName = HeaderName::from_static("x-portkey-provider");
const MAJORDOMO_PROVIDER: HeaderName = HeaderName::from_static("x-majordomo-provider");

/// The provider that a header of the gateway dialects names, by its id in the catalog.
fn hint(headers: &HeaderMap) -> Option<Box<str>> {
    let header = headers.get(PORTKEY_PROVIDER).or_else(|| headers.get(MAJORDOMO_PROVIDER))?;
    let name = header.to_str().ok()?.trim().to_ascii_lowercase();
    Some(match name.as_str() {
        "" => return None,
        // A name of somebody's own integration.
        name if name.starts_with('@') || name.len() > 64 => return None,
        "azure-openai" | "azure-ai" => "azure".into(),
        "gemini" | "vertex-ai" | "vertex" => "google".into(),
        "bedrock" | "aws-bedrock" => "aws".into(),
        "mistral-ai" => "mistral".into(),
        "xai" | "grok" => "x-ai".into(),
        "perplexity-ai" => "perplexity".into(),
        "together-ai" => "together".into(),
        "fireworks-ai" => "fireworks".into(),
        name => name.into(),
    })
}
