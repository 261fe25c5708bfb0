//! LLM usage and cost on every event.
//!
//! With a [`UsageTap`], the event layer reads the responses of LLM APIs while they pass, streamed or not, without changing
//! or delaying a byte. The [event](crate::Event::llm) gets an [`LlmCall`]: the provider, the model, the token counts that
//! the provider reported, and their cost.
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
//! The data types and price books of this module are always available. [`UsageTap`], [`CatalogPrices`], and
//! [`include_usage`] need the feature `llm`. Price books only price events with this feature, since [`UsageTap::prices`] is
//! the method that accepts them.
//!
//! # Record usage in code
//!
//! Calls through a [client](crate::client) of this crate are recorded automatically. For other calls, such as those of an
//! SDK with its own client, `Tags::record_response` reads the usage from the provider's response, with the provider's
//! conventions. [`Tags::record_usage`](crate::Tags::record_usage) takes counts. Both replace what was read from the response
//! of the request itself. [`Tags::record_cost`](crate::Tags::record_cost) adds the cost of anything else:
//!
//! ```
//! use tower_tagging::{Tags, usage::{ExtraCost, Money, Unit, Usage}};
//!
//! let tags = Tags::new();
//! # #[cfg(feature = "llm")]
//! tags.record_response("openai", r#"{"model":"gpt-4o","usage":{"prompt_tokens":2006,"completion_tokens":300}}"#);
//! tags.record_usage(Usage::tokens(2_006, 300).with(Unit::CacheReadTokens, 1_920).of("openai", "gpt-4o"));
//! tags.record_cost(ExtraCost::new(Money::from_nano_usd(1_500)).of("rows", 1_200.0));
//! ```
//!
//! # Customize prices
//!
//! A [`PriceBook`] prices each call. The default is [`CatalogPrices::bundled`], the catalog of
//! [genai-prices](https://github.com/pydantic/genai-prices). Pass another one to [`UsageTap::prices`]:
//!
//! | price book | prices |
//! |---|---|
//! | [`CatalogPrices::from_json`] | by a newer catalog |
//! | [`OverlayPrices`] | by negotiated [`Rates`], and by another book for all other models |
//! | [`SwapPrices`] | by a book that can be replaced while requests run |
//! | [`price_fn`] | by a closure, which can also read the request's tags |
//!
//! # Which calls are read
//!
//! A call is recognized by its method and path ([`LlmEndpoint::detect`]), or by code ([`UsageTap::endpoint`]). Other
//! requests cost nothing. The wire formats of OpenAI (chat, responses, embeddings, images, completions, transcriptions,
//! speech), Anthropic, Gemini and Vertex, Bedrock, Mistral, Cohere, Ollama, OpenRouter, DeepSeek, Moonshot, Groq, xAI,
//! Perplexity, Azure, Databricks, Workers AI, MiniMax, Voyage, and compatible servers are read from JSON, server-sent
//! events, NDJSON, streamed JSON arrays, and AWS event streams. Where the media type is missing, `text/plain`, JSON, or that of
//! server-sent events, the first bytes of the body decide. Bodies may use gzip, deflate, br, or zstd (feature `zstd`).
//!
//! The requested `model` and `service_tier` are read from JSON and multipart request bodies by
//! [`RequestBodyLayer`](crate::tagging::RequestBodyLayer), which is part of [`TaggingLayer`](crate::TaggingLayer).
//!
//! Only calls that ask a model for something are read, with one exception. A response that OpenAI produces in the background
//! reports its usage only when it is retrieved (`GET /v1/responses/{id}`), possibly many times. Its first result counts as an
//! LLM call, and the other retrievals do not. Each tap remembers the last 16,384 results. If several processes retrieve the
//! same response, use [`LlmCall::response_id`] to drop duplicates.
//!
//! Plain-text transcriptions are never read, since they contain what somebody said.
//!
//! # What the counts mean
//!
//! [`Usage`] has the meaning of the OpenTelemetry GenAI conventions, regardless of the provider: input includes cache reads
//! and writes, and output includes reasoning. For streams, the last reported value of each count is used. Values are never
//! added up. Unknown counts are absent, never zero, and [`UsageStatus`] gives the reason. Contradictions are reported as
//! the diagnostic `usage_inconsistent`.
//!
//! A stream that breaks off has the status `partial`, with the counts that were reported until then, or `absent` if there were
//! none. If the provider ended it, the call has an [error](LlmCall::error).
//!
//! Some providers count several runs of models within one call:
//!
//! - Anthropic reports each attempt in `usage.iterations`. The usage is their sum, which includes the compaction of the
//!   context, the advice of another model, and the output before another model took over. Each attempt is priced by the
//!   model that it names. An attempt that was declined before it produced output is neither counted nor billed, and a call
//!   that ends with the `stop_reason` `refusal` and without output costs nothing.
//! - Groq reports the models that a compound model ran in `usage_breakdown`.
//! - OpenAI reports the tokens of the image model in `tool_usage`.
//!
//! Searches are counted as they are billed. For Gemini, these are the distinct queries sent to Google, or, up to Gemini 2.5,
//! the prompts that searched. For OpenAI, they are the reported number, or the tool calls that searched.
//!
//! # How a call is priced
//!
//! A call is priced by the model that answered, or else by the requested one, at the rates of the provider, the date of the
//! request, and the service tier that the response reports. These sources come first:
//!
//! - A cost that the provider reports, since it covers more than tokens: OpenRouter, Vercel, Perplexity, and xAI in the
//!   body, LiteLLM in the header `x-litellm-response-cost` (not for streams).
//! - Responses from the caches of Cloudflare, Portkey, Helicone, and OpenRouter cost nothing. Their price source is `cache`.
//!
//! A model without a price has no cost, and is counted by [`UsageTap::unpriced_total`]. If a model has no price for its
//! searches, seconds, or pages, the cost is `partial`. Free quotas per day or month are unknown, so their usage has its full
//! price. The cost of a call is clamped to [`LlmCall::MAX_COST`].
//!
//! Without a [`UsageTap`], nothing is priced. The cost status is `off`, unless code recorded a cost.
//!
//! # Which provider served a call
//!
//! The first of these that names a provider decides:
//!
//! 1. [`Identity::provider`](crate::tagging::Identity::provider), for a gateway that chooses the upstream by the caller
//! 2. [`UsageTap::endpoint`]
//! 3. the address in [`UsageTap::upstream`]
//! 4. marks in the response
//! 5. a path that only one provider has
//! 6. the name of the model
//! 7. the request's host, and its headers `x-portkey-provider` and `x-majordomo-provider`
//! 8. the provider whose wire format it is
//!
//! Clients can send any host and header, so these come late. If the requests are your own,
//! [`UsageTap::trust_request`] moves them to the front.
//!
//! # When it happens
//!
//! Bodies are read while they pass. A short, uncoded JSON body of up to 8 KiB is kept and read later. Reading and pricing
//! are part of the event's [lazy step](crate::Event#the-lazy-step), which usually runs on a sink's thread.
//!
//! # Limits
//!
//! Frames are not held back, and memory does not grow with the body. For each call, it is bounded by:
//!
//! - 64 KiB for each value that is read ([`UsageTap::max_value_bytes`])
//! - 1 MiB for the current frame of an AWS event stream
//! - the state of the decoder, with a window of at most 8 MiB for zstd. A body that expands by more than 256 bytes for each
//!   byte is given up.
#![cfg_attr(
    not(feature = "llm"),
    allow(
        rustdoc::broken_intra_doc_links,
        rustdoc::private_intra_doc_links,
        reason = "the docs link to items that need the feature"
    )
)]

mod consistency;
mod cost_breakdown;
mod cost_origin;
mod cost_status;
mod expected_call;
mod extra_cost;
mod llm_call;
mod llm_call_builder;
mod llm_call_changes;
mod llm_call_json;
mod llm_endpoint;
mod model_calls;
mod money;
mod observed_call;
mod operation;
mod parse_money_error;
mod price;
mod quantity;
mod recorded;
mod recorded_call;
mod recorded_sum;
mod request_facts;
mod settle;
mod signed_money;
mod unit;
mod usage;
mod usage_record;
mod usage_status;
mod waits;

// Reading of responses, and pricing by the catalog.
#[cfg(feature = "llm")]
mod background_calls;
#[cfg(feature = "llm")]
mod body_reader;
#[cfg(feature = "llm")]
mod content;
#[cfg(feature = "llm")]
mod detect;
#[cfg(feature = "llm")]
mod document;
#[cfg(feature = "llm")]
mod field;
#[cfg(feature = "llm")]
mod framing;
#[cfg(feature = "llm")]
mod from_response;
#[cfg(feature = "llm")]
mod header_report;
#[cfg(feature = "llm")]
pub mod include_usage;
#[cfg(feature = "llm")]
mod iterations;
#[cfg(feature = "llm")]
mod merge_counts;
#[cfg(feature = "llm")]
mod normalized_usage;
#[cfg(feature = "llm")]
mod observation;
#[cfg(feature = "llm")]
mod observed_response;
#[cfg(feature = "llm")]
mod provider;
#[cfg(feature = "llm")]
mod provider_error;
#[cfg(feature = "llm")]
mod reported_call;
#[cfg(feature = "llm")]
mod reported_cost;
#[cfg(feature = "llm")]
mod response_report;
#[cfg(feature = "llm")]
mod tap;
#[cfg(feature = "llm")]
mod tool_counts;
#[cfg(feature = "llm")]
mod usage_tap;
#[cfg(feature = "llm")]
mod values;
#[cfg(feature = "llm")]
mod wire;

#[cfg(not(feature = "llm"))]
mod unobserved;
#[cfg(not(feature = "llm"))]
mod without_llm;

#[cfg(feature = "analytics")]
pub(crate) use self::cost_breakdown::BillableCall;
#[cfg_attr(not(feature = "limit"), allow(unused_imports, reason = "only limits estimate calls"))]
pub(crate) use self::expected_call::ExpectedCall;
pub use self::{
    cost_origin::CostOrigin,
    cost_status::CostStatus,
    extra_cost::ExtraCost,
    llm_call::LlmCall,
    llm_call_builder::LlmCallBuilder,
    llm_endpoint::LlmEndpoint,
    model_calls::ModelCalls,
    money::Money,
    operation::Operation,
    parse_money_error::ParseMoneyError,
    price::{Cost, CostLine, OverlayPrices, PriceBook, PriceFn, PriceQuery, Rates, SwapPrices, price_fn},
    quantity::Quantity,
    signed_money::SignedMoney,
    unit::Unit,
    usage::Usage,
    usage_record::UsageRecord,
    usage_status::UsageStatus,
};
pub(crate) use self::{
    observed_call::ObservedCall, recorded::Recorded, request_facts::RequestFacts, settle::settle_recorded,
};

#[cfg(feature = "llm")]
use self::{observation::Observation, observed_response::ObservedResponse, reported_call::ReportedCall, tap::Tap};
#[cfg(feature = "llm")]
pub use self::{
    price::{CatalogError, CatalogPrices},
    usage_tap::UsageTap,
};

#[cfg(not(feature = "llm"))]
pub(crate) use self::without_llm::UsageTap;
#[cfg(not(feature = "llm"))]
use self::{
    unobserved::{Observation, ObservedResponse, ReportedCall},
    without_llm::Tap,
};
