//! LLM usage and cost on every event, streamed or not, without touching a byte.
//!
//! With a [`UsageTap`] the event layer watches the responses of LLM APIs as they pass and puts what the provider reported
//! on the [event](crate::Event::llm), with its price:
//!
//! ```
//! use axum::{Router, body::Body, routing::post};
//! use http::Request;
//! use tower::ServiceExt;
//! use tower_tagging::{TaggingLayer, sink::MockSink, usage::UsageTap};
//!
//! async fn answer() -> ([(&'static str, &'static str); 1], &'static str) {
//!     let body = r#"{"model":"gpt-4o-2024-08-06","usage":{"prompt_tokens":2006,"completion_tokens":300,
//!         "total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920}}}"#;
//!     ([("content-type", "application/json")], body)
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let sink = MockSink::new();
//! let tagging = TaggingLayer::builder().usage(UsageTap::new()).sink(sink.clone()).build()?;
//! let app = Router::new().route("/v1/chat/completions", post(answer)).layer(tagging);
//!
//! let request = Request::post("/v1/chat/completions").body(Body::from(r#"{"model":"gpt-4o"}"#))?;
//! let response = app.oneshot(request).await?;
//! axum::body::to_bytes(response.into_body(), 4096).await?;
//!
//! let event = sink.single();
//! let llm = event.llm().unwrap();
//! assert_eq!(llm.usage().unwrap().input_tokens(), Some(2006));
//! assert_eq!(llm.cost().unwrap().to_string(), "0.005615");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is read
//!
//! The exchange is recognized by its method and path ([`LlmEndpoint::detect`]), or by code of yours
//! ([`UsageTap::endpoint`]); other requests pay nothing. The shapes of OpenAI (chat, responses, embeddings, images, legacy
//! completions, transcriptions, speech), Anthropic, Gemini and Vertex (interactions too), Bedrock (Converse, InvokeModel),
//! Mistral, Cohere, Ollama, OpenRouter, DeepSeek, Moonshot, Groq, xAI, Perplexity, Azure, Databricks, Workers AI, MiniMax,
//! Voyage and whoever speaks as one of these are read from JSON, server-sent events, NDJSON, streamed JSON arrays and AWS
//! event streams, plain or coded with gzip, deflate, br, zstd or several of them, cut at any byte.
//!
//! Frames are not held back, and memory does not grow with a body: of each document the wanted values are kept, 64 KiB each
//! at most ([`UsageTap::max_value_bytes`]); of an event stream the frame at hand, 1 MiB at most; of a coded body what the
//! decoder needs (a window of 8 MiB at most for zstd, and no more than 256 bytes out for each byte in). A short plain body, of
//! up to 8 KiB, is kept and read when the event is first [asked](crate::Event::llm), mostly on a sink's thread.
//!
//! What the client asked for (`model`, `service_tier`) is read from the request body, JSON or a multipart form, by
//! [`RequestBodyLayer`](crate::tagging::RequestBodyLayer), which [`TaggingLayer`](crate::TaggingLayer) contains.
//!
//! # What it means
//!
//! [`Usage`] follows the OTel GenAI conventions, whatever the provider's own: input includes cache reads and writes,
//! output includes reasoning. Of a stream the last value of each count is taken, never a sum. What is not reported is
//! absent, never zero; [`UsageStatus`] says why. What does not add up is noted as `usage_inconsistent` in the event's
//! diagnostics.
//!
//! Where Anthropic counts every attempt by itself (`usage.iterations`), the usage is their sum, as is the bill: summaries of
//! the context (compaction), advice of another model, and what a model said before another took over are not among the counts
//! of the whole. Each attempt is priced by itself, by the model that it names; one that was declined before it said anything
//! is not billed, and not counted. A call to Anthropic itself that ends so (`stop_reason` is `refusal`, without output) costs
//! nothing. So it is with the models that Groq's compound ones ran (`usage_breakdown`), and with images that OpenAI's responses
//! made by the model of that tool, whose tokens are counted with the others (`tool_usage`).
//!
//! Searches are counted as they are billed: of the web where the provider counts them, for OpenAI's responses by the number
//! that it names or the calls of its tool that searched (those of files too), for Gemini by the queries that it sent to Google,
//! each once, or up to Gemini 2.5 by the prompt that searched. What a provider gives away each day or month is not known, and
//! costs its price. A model without a price for its searches, or for seconds and
//! pages, has a cost that is `partial`.
//!
//! Prices come from a [`PriceBook`], by default the catalog of [`genai-prices`](genai_prices): by the model that answered,
//! else the one that was asked for, of the provider that served it, at the date of the request and the tier that the response
//! or its header names. What a provider says that it charges wins over that, as it is of more than tokens: OpenRouter, Vercel,
//! Perplexity, xAI, and the header of LiteLLM (`x-litellm-response-cost`, unless the response is a stream: it comes before the
//! counts). What the gateways of Cloudflare, Portkey, Helicone and OpenRouter answer from their caches costs nothing, by the
//! header in which they say so; its `price_source` is `cache`. A model without a price has no cost, and is counted
//! ([`UsageTap::unpriced_total`]).
//!
//! A provider is told by (the first that says so): [`UsageTap::endpoint`], the address that everything is forwarded to
//! ([`UsageTap::upstream`]), marks in the response, a path that only one provider has, the model's name; then the host and
//! the headers `x-portkey-provider` and `x-majordomo-provider`; and else the one that the shape is of. A client can write
//! any host and header, so they come late, unless the request is yours: [`UsageTap::trust_request`].
//!
//! # As it is serialized
//!
//! The member `llm` of an event, here with the counts that are not known left out:
//!
//! ```json
//! {"provider":"openai","operation":"chat","request_model":"gpt-4o","response_model":"gpt-4o-2024-08-06",
//!  "response_id":"chatcmpl-1","service_tier":"default","stream":true,
//!  "usage_status":"reported","usage":{"input_tokens":2006,"output_tokens":300,"cache_read_tokens":1920},
//!  "cost_status":"priced","cost_usd":0.005615,"input_cost_usd":0.002615,"output_cost_usd":0.003,
//!  "price_source":"genai-prices 0.2.1","first_token_us":412000,"output_tokens_per_second":71.5,"quantities":{}}
//! ```
//!
//! # When a stream breaks off
//!
//! What was counted so far is on the event as `partial`, as where an error comes in its midst; the placeholder that
//! Anthropic begins with is no count.
//!
//! # Other calls
//!
//! Only calls that ask a model for something are exchanges, which are POST (and the GET by which a completion that xAI deferred
//! is fetched, once). What OpenAI answers in the background is told by whoever fetches it, `GET /v1/responses/{id}`, as often
//! as it is fetched: it is on no event unless [`UsageTap::endpoint`] names that call too, and then once for each time;
//! `response_id` tells them apart.
//!
//! A handler that calls a provider through an SDK records what it used itself
//! ([`Tags::record_usage`](crate::Tags::record_usage)): that stands in place of what was read from the response. A cost of
//! anything else ([`Tags::record_cost`](crate::Tags::record_cost)) comes on top. Without a [`UsageTap`] on the event layer
//! nothing is priced, and `cost_status` is `off` but for a cost that is recorded.

mod body_reader;
mod call;
mod charge;
mod consistency;
mod content;
mod counts;
mod document;
mod field;
mod framing;
mod header_report;
mod inject;
mod iterations;
mod llm_endpoint;
mod money;
mod normalized_usage;
mod operation;
mod price;
mod provider;
mod record;
mod response_report;
mod tap;
mod tool_counts;
mod usage_tap;
mod values;
mod wire;

pub(crate) use self::record::{LlmRecord, Recorded, RequestFacts};
pub use self::{
    call::{CostStatus, LlmCall, Quantity, UsageStatus},
    counts::{Unit, Usage},
    inject::{HidingBody, InjectFuture, InjectIncludeUsage, InjectIncludeUsageLayer, InjectedBody},
    llm_endpoint::LlmEndpoint,
    money::{Money, ParseMoneyError},
    operation::Operation,
    price::{CatalogPrices, Cost, OverlayPrices, PriceBook, PriceQuery, Rates, SwapPrices},
    record::{ExtraCost, UsageRecord},
    usage_tap::UsageTap,
};
