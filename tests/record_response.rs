//! Tests of usage that code reads from the response of a provider.

mod common;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use axum::{Router, body::Body};
use common::Recorder;
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use tower_tagging::{
    Event, TaggingLayer, Tags,
    usage::{CostStatus, Unit, Usage, UsageRecord, UsageStatus, UsageTap},
};

/// Returns the event of a request whose handler does this.
async fn event_of(record: impl Fn(&Tags) + Clone + Send + Sync + 'static) -> Arc<Event> {
    let recorder = Recorder::new();
    let tagging = TaggingLayer::builder().usage(UsageTap::new()).sink(recorder.clone()).build().unwrap();
    let app = Router::new().fallback(async move |tags: Tags| record(&tags)).layer(tagging);
    app.oneshot(Request::new(Body::empty())).await.unwrap().into_body().collect().await.unwrap();
    recorder.single()
}

/// An exchange with a provider, as the tests of the tap know it.
struct Exchange {
    name: String,
    provider: String,
    body: String,
    is_sse: bool,
    expect: Value,
}

/// Returns the exchanges whose bodies report everything: without media type or path, the format of some is not known.
fn exchanges() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/llm");
    let mut exchanges = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for case in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
            let header = |name: &str| {
                let headers = case["response"]["headers"].as_array().unwrap();
                headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap())
            };
            let media = header("content-type").unwrap_or_default().split(';').next().unwrap().trim();
            let is_readable = ["application/json", "text/event-stream"].contains(&media);
            let (body, provider) = (case["response"]["body"].as_str(), case["expect"]["provider"].as_str());
            if let (Some(body), Some(provider), true) = (body, provider, is_readable)
                && case["response"]["status"] == 200
                && case["expect"]["usage"].is_object()
            {
                exchanges.push(Exchange {
                    name: case["name"].as_str().unwrap().to_owned(),
                    provider: provider.to_owned(),
                    body: body.to_owned(),
                    is_sse: media == "text/event-stream",
                    expect: case["expect"].clone(),
                });
            }
        }
    }
    exchanges
}

fn counts(usage: &Usage) -> BTreeMap<String, u64> {
    usage.iter().map(|(unit, count)| (unit.as_str().to_owned(), count)).collect()
}

/// The conventions of every provider are those of the tap.
#[test]
fn reads_what_the_tap_reads() {
    let mut providers = BTreeMap::<String, u32>::new();
    let mut different = Vec::new();
    for exchange in exchanges() {
        let Exchange { name, provider, body, is_sse, expect } = exchange;
        let record = if is_sse { Usage::from_sse(&provider, &body) } else { Usage::from_response(&provider, &body) };
        let expected: BTreeMap<String, u64> = expect["usage"]
            .as_object()
            .unwrap()
            .iter()
            .filter_map(|(unit, count)| Some((unit.clone(), count.as_u64()?)))
            .collect();
        // The exception reports its counts in headers.
        if counts(record.usage()) != expected && name != "bedrock-invoke-mistral-headers-only" {
            different.push(format!("{name} of {provider}: {:?}, not {expected:?}", counts(record.usage())));
        }
        let model = expect["response_model"].as_str();
        assert!(record.model() == model || record.usage().is_empty(), "{name}: {:?}, not {model:?}", record.model());
        let status = match expect["usage_status"].as_str() {
            Some("reported") => UsageStatus::Recorded,
            _ => UsageStatus::Partial,
        };
        assert!(
            record.status() == status || record.usage().is_empty(),
            "{name}: {:?}, not {status:?}",
            record.status()
        );
        *providers.entry(provider).or_default() += 1;
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(
        ["anthropic", "aws", "google", "openai"].iter().all(|provider| providers[*provider] >= 10),
        "{providers:?}"
    );
}

/// Each response is priced as the tap would price it: by its parts, its service tier, or the cost that it reports.
#[tokio::test]
async fn prices_responses_by_everything_that_they_report() {
    let cases = [
        (
            "anthropic",
            r#"{"id":"msg_1","model":"claude-sonnet-4-5","usage":{"input_tokens":10,"cache_read_input_tokens":1000,
                "cache_creation_input_tokens":100,"output_tokens":50}}"#,
            (1110, 50, "0.001455", "genai-prices 0.2"),
        ),
        (
            "openai",
            r#"{"id":"r1","model":"gpt-4o","usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#,
            (1000, 100, "0.0035", "genai-prices 0.2"),
        ),
        (
            "openai",
            r#"{"id":"r1","object":"response","model":"gpt-4o","usage":{"input_tokens":1000,"output_tokens":100,"total_tokens":1100}}"#,
            (1000, 100, "0.0035", "genai-prices 0.2"),
        ),
        (
            "google",
            r#"{"responseId":"r1","modelVersion":"gemini-2.5-flash","usageMetadata":{"promptTokenCount":1000,
                "candidatesTokenCount":100,"thoughtsTokenCount":50,"totalTokenCount":1150}}"#,
            (1000, 150, "0.000675", "genai-prices 0.2"),
        ),
        (
            "openrouter",
            r#"{"id":"gen-1","model":"openai/gpt-4o","provider":"OpenAI","usage":{"prompt_tokens":1000,
                "completion_tokens":100,"total_tokens":1100,"cost":0.25,"cost_details":{}}}"#,
            (1000, 100, "0.25", "provider"),
        ),
    ];
    for (provider, body, (input, output, cost, source)) in cases {
        let event = event_of(move |tags| tags.record_response(provider, body)).await;
        let llm = event.llm().unwrap();
        let usage = llm.usage().unwrap();
        assert_eq!((usage.input_tokens(), usage.output_tokens()), (Some(input), Some(output)), "{body}");
        assert_eq!(llm.cost().map(|cost| cost.to_string()).as_deref(), Some(cost), "{body}");
        assert_eq!((llm.price_source(), llm.cost_status()), (Some(source), CostStatus::Priced), "{body}");
        assert_eq!((llm.provider(), llm.usage_status()), (Some(provider), UsageStatus::Recorded));
        assert!(llm.response_id().is_some() && llm.response_model().is_some() && !llm.is_stream(), "{body}");
        // The same as JSON of a stream, cut into two events.
        let stream = format!("data: {}\n\ndata: [DONE]\n\n", body.replace('\n', " "));
        let event = event_of(move |tags| tags.record_response(provider, &stream)).await;
        let llm = event.llm().unwrap();
        assert!(llm.is_stream());
        if source != "provider" {
            assert_eq!(llm.cost().map(|cost| cost.to_string()).as_deref(), Some(cost), "streamed: {body}");
        }
    }
}

#[tokio::test]
async fn several_responses_and_other_records_add_up() {
    let event = event_of(|tags| {
        let body = r#"{"id":"a","model":"gpt-4o","usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;
        tags.record_response("openai", body);
        tags.record_usage(Usage::tokens(1000, 100).of("openai", "gpt-4o"));
        tags.record_usage(Usage::from_response("openai", body));
    })
    .await;
    let llm = event.llm().unwrap();
    assert_eq!(llm.usage().unwrap().input_tokens(), Some(3000));
    assert_eq!((llm.cost().unwrap().to_string().as_str(), llm.cost_status()), ("0.0105", CostStatus::Priced));
    assert_eq!((llm.response_id(), llm.calls()), (None, None));
}

/// What is missing stays unknown, with the reason.
#[tokio::test]
async fn incomplete_responses_have_a_status() {
    let first = r#"data: {"type":"message_start","message":{"model":"claude-sonnet-4-5","usage":{"input_tokens":10,"output_tokens":1}}}"#;
    let cases = [
        (r#"{"model":"gpt-4o","choices":[]}"#, UsageStatus::Absent, CostStatus::NoUsage),
        ("", UsageStatus::Unparsed, CostStatus::NoUsage),
        ("<html>", UsageStatus::Unparsed, CostStatus::NoUsage),
        (r#"{"model":"gpt-4o","usage":{"prompt_tokens":"#, UsageStatus::Unparsed, CostStatus::NoUsage),
        (first, UsageStatus::Partial, CostStatus::Partial),
    ];
    for (body, status, cost) in cases {
        let provider = if body == first { "anthropic" } else { "openai" };
        let event = event_of(move |tags| tags.record_response(provider, body)).await;
        let llm = event.llm().unwrap();
        assert_eq!((llm.usage_status(), llm.cost_status()), (status, cost), "{body}");
        assert_eq!(llm.cost().is_some(), cost == CostStatus::Partial, "{body}");
    }
}

/// Bedrock's responses do not name the model.
#[tokio::test]
async fn a_response_without_a_model_can_be_given_one() {
    let body =
        r#"{"output":{},"stopReason":"end_turn","usage":{"inputTokens":1000,"outputTokens":100,"totalTokens":1100}}"#;
    let record = Usage::from_response("aws", body);
    assert_eq!((record.model(), record.usage()), (None, &Usage::tokens(1000, 100)));
    for (record, status) in [
        (record.clone(), CostStatus::UnpricedModel),
        (record.or_model("anthropic.claude-sonnet-4-5-20250929-v1:0"), CostStatus::Priced),
    ] {
        let event = event_of(move |tags: &Tags| tags.record_usage(UsageRecord::clone(&record))).await;
        assert_eq!(event.llm().unwrap().cost_status(), status);
    }
    let named = Usage::from_response("openai", r#"{"model":"gpt-4o","usage":{"prompt_tokens":1}}"#).or_model("other");
    assert_eq!(named.model(), Some("gpt-4o"));
    assert_eq!(named.usage().get(Unit::InputTokens), Some(1));
}

/// These models search the web in every chat, bill that, and do not report it.
#[tokio::test]
async fn searches_that_are_not_reported_make_the_cost_partial() {
    for (model, status) in [
        ("gpt-4o-search-preview", CostStatus::Partial),
        ("gpt-4o-mini-search-preview-2025-03-11", CostStatus::Partial),
        ("gpt-4o", CostStatus::Priced),
    ] {
        let body = format!(r#"{{"model":"{model}","usage":{{"prompt_tokens":10,"completion_tokens":5}}}}"#);
        let event = event_of(move |tags| tags.record_response("openai", &body)).await;
        assert_eq!(event.llm().unwrap().cost_status(), status, "{model}");
    }
}
