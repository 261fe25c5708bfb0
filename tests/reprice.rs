//! Tests that stored requests are priced by the same rules as recorded ones.

#![cfg(all(feature = "analytics", feature = "llm", feature = "sqlite"))]

mod common;
#[path = "common/events.rs"]
mod events;

use std::{
    collections::BTreeSet,
    convert::Infallible,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{Layer, Service};
use tower_tagging::{
    Event, EventLayer, TaggingLayer, Tags,
    analytics::{
        Analytics, Grant, Query, RowQuery, TimeRange,
        reprice::{NotRepriced, RepriceOptions, RepricedSums, reprice},
    },
    metadata::DiagnosticCode,
    sink::{BatchWriter, MockSink},
    store::{MemoryStore, SqliteStore},
    tagging::RequestBody,
    usage::{
        CatalogPrices, Cost, CostOrigin, CostStatus, ExtraCost, LlmCall, Money, OverlayPrices, PriceBook, PriceQuery,
        Rates, SignedMoney, Unit, Usage, UsageStatus, UsageTap, price_fn,
    },
};

/// Creates equal price books: one prices the calls, and the other one the stored requests.
type Books = fn() -> Box<dyn PriceBook>;

fn catalog() -> Box<dyn PriceBook> {
    Box::new(CatalogPrices::bundled())
}

/// A book whose prices depend on everything that a query has.
fn particular() -> Box<dyn PriceBook> {
    let base = price_fn(|query: &PriceQuery<'_>| {
        let text = |text: Option<&str>| text.map_or(0, |text| text.bytes().map(u64::from).sum::<u64>());
        let count = |unit| query.usage.get(unit).unwrap_or(0).min(1_000_000_000);
        let hour = query.time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs() / 3_600 % 24;
        let context =
            [query.provider, Some(query.model), query.requested_model, query.service_tier, query.inference_geo];
        let rate =
            context.into_iter().map(text).sum::<u64>() + text(query.metadata.and_then(|tags| tags.get("team"))) + hour;
        let tokens = count(Unit::InputTokens) * 3 + count(Unit::OutputTokens) * 7 + count(Unit::CacheReadTokens);
        (!query.model.contains("mini")).then(|| Cost::custom(Money::from_nano_usd(tokens * rate)))
    });
    let rates = Rates::per_million(Money::from_nano_usd(2_500_000_001), Money::from_nano_usd(9_999_999_999));
    Box::new(OverlayPrices::over(base).with("openai", "gpt-4o", rates).with("anthropic", "claude-alias", rates))
}

/// An exchange with a provider, and what the handler does.
struct Exchange {
    time: SystemTime,
    request: Request<Full<Bytes>>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    handle: Box<dyn Fn(&Tags)>,
}

fn start() -> SystemTime {
    humantime::parse_rfc3339("2026-06-01T00:00:00Z").unwrap()
}

/// Returns the event of an exchange.
fn event(exchange: Exchange, book: Box<dyn PriceBook>) -> Arc<Event> {
    let sink = MockSink::new();
    let Exchange { time, request, status, headers, body, handle } = exchange;
    let tap = UsageTap::new().trust_request().prices(book);
    let events = EventLayer::new(sink.clone()).usage(tap).clock(events::FixedClock(time));
    let layer = TaggingLayer::builder().events(events).build().unwrap();
    let mut service = layer.layer(tower::service_fn(|request: Request<RequestBody<Full<Bytes>>>| {
        let (head, content) = request.into_parts();
        handle(head.extensions.get::<Tags>().unwrap());
        let mut response = Response::builder().status(status);
        for (name, value) in &headers {
            response = response.header(name, value);
        }
        let response = response.body(Full::new(body.clone())).unwrap();
        async move {
            content.collect().await.unwrap();
            Ok::<_, Infallible>(response)
        }
    }));
    let response = service.call(request).now_or_never().unwrap().unwrap();
    response.into_body().collect().now_or_never().unwrap().unwrap();
    sink.single()
}

/// Returns the exchanges that were captured from every provider.
fn captured() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/llm");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let cases = files.iter().flat_map(|file| serde_json::from_slice::<Vec<Value>>(&fs::read(file).unwrap()).unwrap());
    let exchange = |(number, case): (u32, Value)| {
        let (request, response) = (&case["request"], &case["response"]);
        let mut builder =
            Request::builder().method(request["method"].as_str().unwrap()).uri(request["target"].as_str().unwrap());
        for (name, value) in pairs(request) {
            builder = builder.header(name, value);
        }
        let body = response["body"].as_str().map_or_else(
            || STANDARD.decode(response["body_base64"].as_str().unwrap()).unwrap(),
            |text| text.as_bytes().to_vec(),
        );
        Exchange {
            time: start() + Duration::from_secs(1_234) * number,
            request: builder.body(Full::from(request["body"].as_str().unwrap_or_default().to_owned())).unwrap(),
            status: response["status"].as_u64().unwrap().try_into().unwrap(),
            headers: pairs(response),
            body: body.into(),
            handle: Box::new(|_| {}),
        }
    };
    (0..).zip(cases).map(exchange).collect()
}

fn pairs(message: &Value) -> Vec<(String, String)> {
    let pairs = message["headers"].as_array().into_iter().flatten();
    pairs.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned())).collect()
}

fn range() -> TimeRange {
    TimeRange::parse("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "UTC").unwrap()
}

fn in_memory(events: &[Arc<Event>]) -> Analytics {
    let store = MemoryStore::new();
    store.writer().write(events).unwrap();
    Analytics::new(store)
}

fn sums(analytics: &Analytics, book: &dyn PriceBook) -> RepricedSums {
    let (query, options, grant) = (Query::new(range()), RepriceOptions::new(), Grant::everything());
    reprice(analytics, &query, book, &options, &grant).now_or_never().unwrap().unwrap().total
}

/// Returns the reason why a call cannot be priced again, as the documentation of the reasons has it. `None` if it can.
fn reason(call: &LlmCall) -> Option<NotRepriced> {
    let is_known = matches!(call.usage_status(), UsageStatus::Reported | UsageStatus::Recorded);
    let requested = call.request_model().filter(|_| call.cost_origin() != CostOrigin::RecordedCall);
    match call.cost_origin() {
        CostOrigin::Waived => None,
        CostOrigin::Reported if call.price_source() == Some("cache") => None,
        CostOrigin::SeveralCalls => Some(NotRepriced::SeveralCalls),
        CostOrigin::RecordedCost => Some(NotRepriced::RecordedCost),
        CostOrigin::Reported => Some(NotRepriced::ReportedCost),
        _ if !is_known || call.usage().is_none() => Some(NotRepriced::UsageUnknown),
        _ if call.response_model().or(requested).is_none() => Some(NotRepriced::ModelUnknown),
        _ if call.cost().is_none() => Some(NotRepriced::NoPrice),
        _ if call.cost_status() == CostStatus::Partial => Some(NotRepriced::PartialPrice),
        _ => None,
    }
}

/// Checks that the prices that a call was recorded with return its cost, or the documented reason. Returns the reason.
fn check(event: &Arc<Event>, books: Books) -> Option<NotRepriced> {
    let Some(call) = event.llm() else {
        assert_eq!(sums(&in_memory(&[Arc::clone(event)]), &*books()), RepricedSums::default());
        return None;
    };
    let cost = call.cost().unwrap_or_default();
    if let Some(lines) = call.cost_lines() {
        assert_eq!(lines.iter().map(|line| line.cost).sum::<Money>(), cost, "the lines add up: {call:?}");
    }
    let found = sums(&in_memory(&[Arc::clone(event)]), &*books());
    assert_eq!((found.newly_priced, found.difference), (0, SignedMoney::ZERO), "{call:?}");
    let mut expected = reason(call);
    // Counts that contradict each other make a cost partial too.
    let is_inconsistent = event.diagnostics().iter().any(|note| note.code() == DiagnosticCode::UsageInconsistent);
    if is_inconsistent && expected == Some(NotRepriced::PartialPrice) {
        expected = found.not_repriced.keys().next().copied().filter(|reason| *reason == NotRepriced::PartialPrice);
    }
    match expected {
        None => {
            assert_eq!((found.requests, found.old, found.new), (1, cost, cost), "{call:?}: {found:?}");
            let is_free = call.cost_origin() == CostOrigin::Waived || call.price_source() == Some("cache");
            assert_eq!(found.approximate, u64::from(call.calls() == Some(1) && !is_free), "{call:?}: {found:?}");
            assert!(found.not_repriced.is_empty(), "{call:?}: {found:?}");
        }
        Some(reason) => {
            assert_eq!(found.not_repriced.iter().collect::<Vec<_>>(), [(&reason, &1)], "{call:?}");
            assert_eq!((found.requests, found.not_repriced_cost), (0, cost), "{call:?}");
        }
    }
    expected
}

/// Checks that SQLite has the same sums as memory, and that the lines of every row add up to its cost.
fn check_stored(folder: &common::TempFolder, events: &[Arc<Event>], books: Books) {
    let store = SqliteStore::open(folder.file(&format!("{}.db", events[0].id()))).unwrap();
    store.migrate().unwrap();
    store.writer().write(events).unwrap();
    let analytics = Analytics::new(store);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (query, options, grant) = (Query::new(range()), RepriceOptions::new(), Grant::everything());
        let stored = reprice(&analytics, &query, &*books(), &options, &grant).await.unwrap().total;
        assert_eq!(stored, sums(&in_memory(events), &*books()));
        let rows = analytics.rows(&RowQuery::new(range()).limit(1_000), &grant).await.unwrap().rows;
        assert_eq!(rows.len(), events.len());
        for row in rows {
            if let Some(lines) = &row.cost_lines {
                let sum: Money = lines.iter().map(|line| line.cost).sum();
                assert_eq!(Some(sum.nano_usd()), row.total_cost_nanos, "{row:?}");
            }
        }
    });
}

#[test]
fn the_same_prices_return_the_cost_of_every_captured_exchange() {
    let folder = common::TempFolder::new("reprice-captured");
    for books in [catalog as Books, particular] {
        let events: Vec<_> = captured().into_iter().map(|exchange| event(exchange, books())).collect();
        let reasons: Vec<_> = events.iter().map(|event| check(event, books)).collect();
        let is_repriced =
            |(event, reason): &(&Arc<Event>, &Option<NotRepriced>)| event.llm().is_some() && reason.is_none();
        let repriced = events.iter().zip(&reasons).filter(is_repriced).count();
        assert!(repriced * 2 > events.len(), "{repriced} of {}", events.len());
        let found: BTreeSet<_> = reasons.into_iter().flatten().collect();
        for reason in [NotRepriced::UsageUnknown, NotRepriced::SeveralCalls, NotRepriced::ReportedCost] {
            assert!(found.contains(&reason), "{reason:?}: {found:?}");
        }
        for events in events.chunks(1_000) {
            check_stored(&folder, events, books);
        }
    }
}

/// A member of a JSON object with a count.
fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..5_000_u64, 0..400_000_u64]
}

fn openai() -> impl Strategy<Value = (Value, Value)> {
    let model =
        prop::sample::select(vec!["gpt-4o-2024-08-06", "gpt-4o-mini", "gpt-4o-search-preview", "o3", "unknown"]);
    let tier = || prop::sample::select(vec![Value::Null, json!("default"), json!("flex"), json!("priority")]);
    (model, tier(), tier(), tokens(), tokens(), tokens(), tokens()).prop_map(
        |(model, requested, served, input, cached, output, reasoning)| {
            let usage = json!({
                "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": reasoning}
            });
            let request = json!({"model": "gpt-4o", "messages": [], "service_tier": requested});
            let response = json!({
                "id": "chatcmpl-1", "object": "chat.completion", "model": model, "service_tier": served,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
                "usage": usage
            });
            (request, response)
        },
    )
}

fn anthropic() -> impl Strategy<Value = (Value, Value)> {
    let model = prop::sample::select(vec!["claude-opus-4-6", "claude-sonnet-4-5-20250929", "claude-mini-unknown"]);
    let geo = prop::sample::select(vec![Value::Null, json!("us"), json!("global")]);
    let speed = prop::sample::select(vec!["standard", "fast"]);
    let stop = prop::sample::select(vec!["end_turn", "end_turn", "refusal"]);
    let counts = (tokens(), tokens(), tokens(), tokens());
    (model, geo, speed, stop, counts, 0..3_u64, 0..3_usize).prop_map(
        |(model, geo, speed, stop, (input, read, write, output), searches, runs)| {
            let counts = json!({
                "input_tokens": input, "cache_read_input_tokens": read, "output_tokens": output,
                "cache_creation_input_tokens": write,
                "cache_creation": {"ephemeral_5m_input_tokens": write / 2, "ephemeral_1h_input_tokens": write - write / 2}
            });
            let mut usage = counts.clone();
            usage["service_tier"] = json!("standard");
            usage["inference_geo"] = geo;
            usage["speed"] = json!(speed);
            usage["server_tool_use"] = json!({"web_search_requests": searches});
            let mut run = counts;
            run["type"] = json!("message");
            if runs > 0 {
                let mut all = vec![run];
                all.resize_with(runs, || json!({"type": "compaction", "input_tokens": 9, "output_tokens": 3}));
                usage["iterations"] = json!(all);
            }
            let response = json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [],
                "stop_reason": stop, "usage": usage
            });
            (json!({"model": "claude-alias", "max_tokens": 1, "messages": []}), response)
        },
    )
}

/// The address of an LLM call, and the bodies of its request and its response.
type Call = (&'static str, (Value, Value));

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        openai().prop_map(|bodies| ("api.openai.com/v1/chat/completions", bodies)),
        anthropic().prop_map(|bodies| ("api.anthropic.com/v1/messages", bodies)),
    ]
}

/// What code records in a handler.
#[derive(Clone, Debug)]
enum Recording {
    Usage(Usage, Option<(&'static str, &'static str)>),
    Response(&'static str, Value),
    /// A call with a cost that code knows.
    Call(u64),
    /// A call that the handler makes, which has its own event.
    Observed(Call),
    Cost(u64),
}

fn recording() -> impl Strategy<Value = Recording> {
    let of = prop::sample::select(vec![
        None,
        Some(("openai", "gpt-4o")),
        Some(("openai", "@my-slug/gpt-4o-2024-08-06")),
        Some(("openai", "unknown")),
        Some(("anthropic", "claude-opus-4-6")),
    ]);
    let usage = (tokens(), tokens(), tokens(), 0..2_u64).prop_map(|(input, output, read, searches)| {
        let usage = Usage::tokens(input, output).with(Unit::CacheReadTokens, read);
        if searches > 0 { usage.with(Unit::WebSearches, searches) } else { usage }
    });
    prop_oneof![
        4 => (usage, of).prop_map(|(usage, of)| Recording::Usage(usage, of)),
        2 => openai().prop_map(|(_, response)| Recording::Response("openai", response)),
        2 => anthropic().prop_map(|(_, response)| Recording::Response("anthropic", response)),
        1 => tokens().prop_map(Recording::Call),
        4 => call().prop_map(Recording::Observed),
        1 => tokens().prop_map(Recording::Cost),
    ]
}

/// Records in a handler. Its calls have the time and the tags of the request.
fn record(recording: &Recording, tags: &Tags, seconds: u64, books: Books) {
    match recording {
        Recording::Usage(usage, Some((provider, model))) => tags.record_usage(usage.clone().of(*provider, *model)),
        Recording::Usage(usage, None) => tags.record_usage(usage.clone()),
        Recording::Response(provider, body) => tags.record_response(*provider, body.to_string()),
        Recording::Call(tokens) => {
            let cost = Cost::custom(Money::from_nano_usd(*tokens));
            let call = LlmCall::builder().provider("openai").response_model("gpt-4o").usage(Usage::tokens(*tokens, 0));
            tags.record_call(&call.cost(cost).cost_origin(CostOrigin::RecordedCost).build());
        }
        Recording::Observed(call) => {
            let event = event(exchange((Some(call.clone()), Vec::new(), seconds), books), books());
            tags.record_call(event.llm().unwrap());
        }
        Recording::Cost(nanos) => tags.record_cost(ExtraCost::new(Money::from_nano_usd(*nanos))),
    }
}

/// An LLM call or another request, and what its handler records.
type Drawn = (Option<Call>, Vec<Recording>, u64);

fn drawn() -> impl Strategy<Value = Drawn> {
    let call = prop_oneof![3 => call().prop_map(Some), 2 => Just(None)];
    let recordings = prop_oneof![2 => Just(Vec::new()), 2 => prop::collection::vec(recording(), 1), 1 => prop::collection::vec(recording(), 2..4)];
    (call, recordings, 0..20_000_000_u64)
}

fn exchange((call, recordings, seconds): Drawn, books: Books) -> Exchange {
    let (address, (asked, answered)) = call.unwrap_or(("example.com/other", (Value::Null, Value::Null)));
    let (host, _) = address.split_once('/').unwrap();
    let request = Request::post(format!("http://{address}"))
        .header("host", host)
        .header("content-type", "application/json")
        .body(Full::from(asked.to_string()))
        .unwrap();
    let team = if seconds.is_multiple_of(2) { "search" } else { "chat" };
    Exchange {
        time: start() - Duration::from_secs(10_000_000) + Duration::from_secs(seconds),
        request,
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: answered.to_string().into(),
        handle: Box::new(move |tags| {
            tags.insert("team", team);
            recordings.iter().for_each(|recording| record(recording, tags, seconds, books));
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is observed and recorded: the same prices return the same cost, or a documented reason.
    #[test]
    fn the_same_prices_return_the_same_cost(
        drawn in prop::collection::vec(drawn(), 1..20),
        books in prop::sample::select(vec![catalog as Books, particular]),
    ) {
        let events: Vec<_> = drawn.into_iter().map(|drawn| event(exchange(drawn, books), books())).collect();
        for event in &events {
            check(event, books);
        }
        check_stored(&common::TempFolder::new("reprice-random"), &events, books);
    }
}

#[test]
fn a_requested_tier_is_not_the_one_that_is_priced() {
    let half_for_flex = || -> Box<dyn PriceBook> {
        let nanos = |query: &PriceQuery<'_>| if query.service_tier == Some("flex") { 1 } else { 2 };
        Box::new(price_fn(move |query| Some(Cost::custom(Money::from_nano_usd(nanos(query))))))
    };
    let answered = |tier: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-5-mini", "service_tier": tier, "choices": [],
            "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}
        })
    };
    let asked = json!({"model": "gpt-5-mini", "messages": [], "service_tier": "flex"});
    let cost = |served: Value| {
        let call = Some(("api.openai.com/v1/chat/completions", (asked.clone(), answered(served))));
        let event = event(exchange((call, Vec::new(), 0), half_for_flex), half_for_flex());
        assert_eq!(event.llm().unwrap().service_tier(), Some("flex"));
        sums(&in_memory(&[event]), &*half_for_flex()).new.nano_usd()
    };
    assert_eq!([cost(Value::Null), cost(json!("flex"))], [2, 1]);
}

/// Returns the bodies of a call with a million tokens of input, which is served on this tier.
fn served(model: &str, tier: &str) -> Call {
    let response = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": model, "service_tier": tier, "choices": [],
        "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    });
    ("api.openai.com/v1/chat/completions", (json!({"model": model, "messages": []}), response))
}

#[test]
fn the_only_call_of_a_handler_has_an_approximate_cost() {
    let found = |own: Option<Call>, calls: Vec<Call>| {
        let recordings = calls.into_iter().map(Recording::Observed).collect();
        let event = event(exchange((own, recordings, 0), particular), particular());
        (check(&event, particular), sums(&in_memory(&[event]), &*particular()))
    };
    let flex = || served("gpt-4o-2024-08-06", "flex");
    let (reason, sums) = found(None, vec![flex()]);
    assert_eq!((reason, sums.requests, sums.approximate), (None, 1, 1));
    // A request that is passed on is the same call.
    assert_eq!(found(Some(flex()), vec![flex()]).1.approximate, 1);
    assert_eq!(found(Some(flex()), Vec::new()).1.approximate, 0);
    let of_other_model = found(Some(served("gpt-4o", "flex")), vec![flex()]);
    assert_eq!((of_other_model.0, of_other_model.1.approximate), (Some(NotRepriced::SeveralCalls), 0));
    assert_eq!(found(None, vec![flex(), flex()]).0, Some(NotRepriced::SeveralCalls));
}

#[test]
fn the_only_call_of_a_handler_is_priced_at_the_time_of_the_request() {
    let doubled_at_ten = || -> Box<dyn PriceBook> {
        let change = start() + Duration::from_secs(10);
        Box::new(price_fn(move |query| Some(Cost::custom(Money::from_nano_usd(1 + u64::from(query.time >= change))))))
    };
    let sums = |calls: u64| {
        let called = exchange((Some(served("gpt-4o", "default")), Vec::new(), 0), doubled_at_ten);
        let called = event(Exchange { time: start() + Duration::from_secs(calls), ..called }, doubled_at_ten());
        let handle = Box::new(move |tags: &Tags| tags.record_call(called.llm().unwrap()));
        let request = exchange((None, Vec::new(), 0), doubled_at_ten);
        let request = event(Exchange { time: start(), handle, ..request }, doubled_at_ten());
        sums(&in_memory(&[request]), &*doubled_at_ten())
    };
    let costs = [9, 10].map(sums).map(|sums| (sums.old.nano_usd(), sums.new.nano_usd(), sums.approximate));
    assert_eq!(costs, [(1, 1, 1), (2, 1, 1)]);
}

#[test]
fn a_reported_cost_changes_only_with_the_model() {
    let exchange = captured().into_iter().find(|exchange| {
        String::from_utf8_lossy(&exchange.body).contains("\"cost\":") && exchange.request.uri().path().contains("chat")
    });
    let event = event(exchange.unwrap(), catalog());
    assert_eq!(event.llm().unwrap().cost_origin(), CostOrigin::Reported);
    let analytics = in_memory(&[event]);
    let reasons = sums(&analytics, &*catalog()).not_repriced;
    assert_eq!(reasons.into_keys().collect::<Vec<_>>(), [NotRepriced::ReportedCost]);
    let (options, query) = (RepriceOptions::new().model("openai", "gpt-4o"), Query::new(range()));
    let (book, grant) = (catalog(), Grant::everything());
    let repriced = reprice(&analytics, &query, &*book, &options, &grant);
    assert_eq!(repriced.now_or_never().unwrap().unwrap().total.requests, 1);
}
