//! Tests of the comparison with providers' bills.

#![cfg(all(feature = "analytics", feature = "llm"))]

mod common;
#[path = "common/events.rs"]
mod events;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use serde_json::json;
use tower_tagging::{
    Event, EventLayer, Tags,
    analytics::{
        Analytics, Field, Filter, Grant, RowQuery, TimeRange,
        reconcile::{
            BilledLine, DifferenceReason, LineKey, OurLine, Reconciliation, anthropic_report, next_page, openai_report,
            our_lines, reconcile,
        },
    },
    sink::{BatchWriter, MockSink},
    store::MemoryStore,
    usage::{Money, OverlayPrices, Rates, SignedMoney, Unit, Usage, UsageTap, price_fn},
};

const HOUR: Duration = Duration::from_secs(3_600);

fn day() -> SystemTime {
    humantime::parse_rfc3339("2026-06-01T00:00:00Z").unwrap()
}

fn jiff_date(text: &str) -> jiff::civil::Date {
    text.parse().unwrap()
}

/// Returns our lines of June.
fn lines_of(events: &[Arc<Event>], filters: impl IntoIterator<Item = Filter>) -> Vec<OurLine> {
    let store = MemoryStore::new();
    store.writer().write(events).unwrap();
    let june = TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "UTC").unwrap();
    let query = filters.into_iter().fold(RowQuery::new(june), RowQuery::filter);
    let lines = our_lines(&Analytics::new(store), &query, &Grant::everything()).now_or_never();
    lines.expect("the memory store answers at once").unwrap()
}

/// Returns events of calls with this usage, priced by the bundled catalog.
fn calls(count: usize, provider: &str, model: &str, usage: &Usage) -> Vec<Arc<Event>> {
    events::priced_events_at(day() + HOUR, count, |_, tags: &Tags| {
        tags.record_usage(usage.clone().of(provider, model));
    })
}

/// A page of `/v1/organization/costs`, grouped by line item.
const OPENAI_COSTS: &str = r#"{"object":"page","data":[
    {"object":"bucket","start_time":1780272000,"end_time":1780358400,"results":[
        {"object":"organization.costs.result","amount":{"value":0.00043,"currency":"usd"},
         "line_item":"gpt-4o-2024-08-06, input","project_id":null},
        {"object":"organization.costs.result","amount":{"value":"0.00480000000000000000","currency":"usd"},
         "line_item":"gpt-4o-2024-08-06, cached input","project_id":null},
        {"object":"organization.costs.result","amount":{"value":0.009,"currency":"usd"},
         "line_item":"gpt-4o-2024-08-06, output","project_id":null},
        {"object":"organization.costs.result","amount":{"value":0.25,"currency":"usd"},
         "line_item":"web search tool calls","project_id":null}]},
    {"object":"bucket","start_time":1780358400,"end_time":1780444800,"results":[]}],
    "has_more":false,"next_page":null}"#;

/// A page of `/v1/organization/usage/completions`, grouped by model.
const OPENAI_USAGE: &str = r#"{"object":"page","data":[
    {"object":"bucket","start_time":1780272000,"end_time":1780358400,"results":[
        {"object":"organization.usage.completions.result","input_tokens":4012,"output_tokens":900,
         "input_cached_tokens":3840,"num_model_requests":3,"project_id":null,"user_id":null,"api_key_id":null,
         "model":"gpt-4o-2024-08-06","batch":null}]}],"has_more":false,"next_page":null}"#;

#[test]
fn reconciles_with_openai_by_kind_of_token() {
    let mut events = calls(2, "openai", "gpt-4o", &Usage::tokens(2_006, 300).with(Unit::CacheReadTokens, 1_920));
    events.extend(calls(1, "openai", "gpt-5-unpriced-model", &Usage::tokens(10, 0)));
    let ours = lines_of(&events, [Filter::is(Field::Provider, "openai")]);
    let mut billed = openai_report(OPENAI_COSTS).unwrap();
    billed.extend(openai_report(OPENAI_USAGE).unwrap());
    let result = reconcile(ours, billed);

    let matched: Vec<_> = result
        .matched
        .iter()
        .map(|line| (line.billed.key.unit.unwrap(), line.difference.unwrap().to_string()))
        .collect();
    // Three answers are billed, of which we recorded two.
    let expected = [(Unit::InputTokens, "0"), (Unit::OutputTokens, "-0.003"), (Unit::CacheReadTokens, "0")];
    assert_eq!(matched, expected.map(|(unit, difference)| (unit, difference.to_owned())));
    assert_eq!(result.missing_on_our_side.len(), 1, "{:?}", result.missing_on_our_side);
    assert_eq!(result.missing_on_our_side[0].key.unit, Some(Unit::WebSearches));
    let unbilled: Vec<_> = result.missing_on_provider_side.iter().map(|line| line.unpriced_quantity).collect();
    assert_eq!(unbilled, [10]);
    let reasons: Vec<_> = result.by_reason.iter().map(|(reason, amount)| (*reason, amount.to_string())).collect();
    let expected = [(DifferenceReason::Quantity, "-0.003"), (DifferenceReason::NotRecorded, "-0.25")];
    assert_eq!(reasons, expected.map(|(reason, amount)| (reason, amount.to_owned())));
    assert_eq!(result.by_reason.values().copied().sum::<SignedMoney>(), result.difference);
}

/// A page of `/v1/organizations/cost_report`, grouped by description. Amounts are in cents.
const ANTHROPIC_COSTS: &str = r#"{"data":[{"starting_at":"2026-06-01T00:00:00Z","ending_at":"2026-06-02T00:00:00Z","results":[
    {"amount":"0.6","context_window":"0-200k","cost_type":"tokens","currency":"USD","description":"Claude Sonnet 4.5 Usage - Input Tokens",
     "inference_geo":null,"model":"claude-sonnet-4-5-20250929","service_tier":"standard","token_type":"uncached_input_tokens","workspace_id":null},
    {"amount":"0.75","context_window":"0-200k","cost_type":"tokens","currency":"USD","description":"Claude Sonnet 4.5 Usage - Output Tokens",
     "model":"claude-sonnet-4-5-20250929","service_tier":"standard","token_type":"output_tokens","workspace_id":null},
    {"amount":"12.5","context_window":null,"cost_type":"code_execution","currency":"USD","description":"Code Execution Usage",
     "model":null,"service_tier":null,"token_type":null,"workspace_id":null}]}],
    "has_more":false,"next_page":null}"#;

/// A page of `/v1/organizations/usage_report/messages`, grouped by model.
const ANTHROPIC_USAGE: &str = r#"{"data":[{"starting_at":"2026-06-01T00:00:00Z","ending_at":"2026-06-02T00:00:00Z","results":[
    {"api_key_id":null,"cache_creation":{"ephemeral_1h_input_tokens":0,"ephemeral_5m_input_tokens":0},
     "cache_read_input_tokens":0,"context_window":null,"model":"claude-sonnet-4-5-20250929","output_tokens":500,
     "server_tool_use":{"web_search_requests":3},"service_tier":null,"uncached_input_tokens":1000,"workspace_id":null}]}],
    "has_more":false,"next_page":null}"#;

#[test]
fn reconciles_with_anthropic_by_reason() {
    let usage = Usage::tokens(1_000, 500).with(Unit::WebSearches, 3);
    let events = calls(1, "anthropic", "claude-sonnet-4-5", &usage);
    let ours = lines_of(&events, []);
    let mut billed = anthropic_report(ANTHROPIC_COSTS).unwrap();
    billed.extend(anthropic_report(ANTHROPIC_USAGE).unwrap());
    let result = reconcile(ours, billed);
    let reasons: Vec<_> = result.by_reason.iter().map(|(reason, amount)| (*reason, amount.to_string())).collect();
    // Input is billed at twice our price, output as we expect, and searches only as a quantity.
    let expected = [(DifferenceReason::Price, "-0.003"), (DifferenceReason::NotRecorded, "-0.125")];
    assert_eq!(reasons, expected.map(|(reason, amount)| (reason, amount.to_owned())));
    assert_eq!(result.by_reason.values().copied().sum::<SignedMoney>(), result.difference);
    let searches = result.matched.iter().find(|line| line.billed.key.unit == Some(Unit::WebSearches)).unwrap();
    assert_eq!((searches.billed.quantity, searches.ours.quantity, searches.difference), (Some(3), 3, None));
}

#[test]
fn explains_what_reports_lack() {
    let date = jiff_date("2026-06-01");
    let key = |unit| LineKey::new(date, "anthropic").model("claude-x").unit(unit);
    let line = |unit, nanos, tier| {
        let mut line = OurLine::new(key(unit).service_tier(tier));
        (line.requests, line.quantity, line.cost) = (1, 1, Money::from_nano_usd(nanos));
        line
    };
    let ours = [
        line(Unit::InputTokens, 5, "priority"),
        line(Unit::WebSearches, 7, "standard"),
        line(Unit::OutputTokens, 11, "standard"),
    ];
    let result = reconcile(ours, []);
    let reasons: Vec<_> = result.by_reason.into_iter().map(|(reason, amount)| (reason, amount.nano_usd())).collect();
    let expected =
        [(DifferenceReason::PriorityTier, 5), (DifferenceReason::Tools, 7), (DifferenceReason::NotBilled, 11)];
    assert_eq!(reasons, expected);
}

/// Returns a page of a report of Anthropic for June 1 with these results.
fn anthropic_page(results: &[serde_json::Value]) -> Vec<BilledLine> {
    let bucket =
        json!({"starting_at": "2026-06-01T00:00:00Z", "ending_at": "2026-06-02T00:00:00Z", "results": results});
    anthropic_report(&json!({"data": [bucket], "has_more": false, "next_page": null}).to_string()).unwrap()
}

fn anthropic_cost(cents: &str, tier: &str, window: &str) -> serde_json::Value {
    json!({
        "amount": cents, "context_window": window, "cost_type": "tokens", "currency": "USD", "inference_geo": "global",
        "description": "Claude Sonnet 4.5 Usage - Input Tokens", "model": "claude-sonnet-4-5-20250929",
        "service_tier": tier, "token_type": "uncached_input_tokens", "workspace_id": null
    })
}

fn anthropic_usage(tier: Option<&str>, tokens: u64) -> serde_json::Value {
    json!({"model": "claude-sonnet-4-5-20250929", "service_tier": tier, "uncached_input_tokens": tokens, "output_tokens": 0})
}

/// Returns a layer that prices 1,000 input tokens at $0.003, and the sink of its events.
fn recorder() -> (MockSink, EventLayer) {
    let sink = MockSink::new();
    let rates = Rates::per_million(Money::from_nano_usd(3_000_000_000), Money::ZERO);
    let prices = OverlayPrices::over(price_fn(|_| None)).with("anthropic", "claude-sonnet-4-5-20250929", rates);
    let layer = EventLayer::new(sink.clone()).usage(UsageTap::new().prices(prices)).clock(events::FixedClock(day()));
    (sink, layer)
}

/// Returns our lines of calls with 1,000 input tokens, one for each tier that the responses report. Each costs $0.003.
fn ours_by_tier(tiers: &[&str]) -> Vec<OurLine> {
    let (sink, layer) = recorder();
    events::emit(&layer, tiers.len(), |number, tags: &Tags| {
        let usage = json!({"input_tokens": 1_000, "output_tokens": 0, "service_tier": tiers[number]});
        let body = json!({"type": "message", "model": "claude-sonnet-4-5-20250929", "usage": usage});
        tags.record_response("anthropic", body.to_string());
    });
    lines_of(&sink.events(), [])
}

fn reasons(result: &Reconciliation) -> Vec<(DifferenceReason, String)> {
    assert_eq!(result.by_reason.values().copied().sum::<SignedMoney>(), result.difference);
    result.by_reason.iter().map(|(reason, amount)| (*reason, amount.to_string())).collect()
}

#[test]
fn service_tiers_are_compared_separately() {
    let costs = [
        anthropic_cost("0.2", "standard", "0-200k"),
        anthropic_cost("0.1", "standard", "200k-1M"),
        anthropic_cost("0.15", "batch", "0-200k"),
    ];
    let tiers = ["standard", "batch", "priority"];
    // Without the usage report, nothing shows that the provider knows the priority tier.
    let result = reconcile(ours_by_tier(&tiers), anthropic_page(&costs));
    let expected = [
        (DifferenceReason::QuantityOrPrice, "0.0015".to_owned()),
        (DifferenceReason::PriorityTier, "0.003".to_owned()),
    ];
    assert_eq!((result.matched.len(), result.missing_on_provider_side.len()), (2, 1));
    assert_eq!(reasons(&result), expected);

    let usage = ["standard", "batch", "priority_on_demand"].map(|tier| anthropic_usage(Some(tier), 1_000));
    let billed = [anthropic_page(&costs), anthropic_page(&usage)].concat();
    let result = reconcile(ours_by_tier(&tiers), billed);
    let lines: Vec<_> = result
        .matched
        .iter()
        .map(|line| {
            (line.billed.key.service_tier.as_deref().unwrap(), line.ours.quantity, line.difference.unwrap().to_string())
        })
        .collect();
    let of = |tier: &'static str, difference: &str| (tier, 1_000, difference.to_owned());
    assert_eq!(lines, [of("batch", "0.0015"), of("priority", "0.003"), of("standard", "0")]);
    let expected =
        [(DifferenceReason::Price, "0.0015".to_owned()), (DifferenceReason::PriorityTier, "0.003".to_owned())];
    assert_eq!(reasons(&result), expected);
}

#[test]
fn calls_of_a_request_with_several_tiers_are_compared_over_all_tiers() {
    let (sink, layer) = recorder();
    let requests = [&["standard", "batch"][..], &["batch", "batch"], &["standard"], &["batch", "standard"]];
    events::emit(&layer, requests.len(), |number, tags: &Tags| {
        for tier in requests[number] {
            let usage = json!({
                "input_tokens": 1_000, "output_tokens": 0, "service_tier": tier,
                "inference_geo": if *tier == "batch" { "us" } else { "global" }
            });
            let body = json!({"type": "message", "model": "claude-sonnet-4-5-20250929", "usage": usage});
            tags.record_response("anthropic", body.to_string());
        }
    });
    let events = sink.events();
    let described: Vec<_> = events
        .iter()
        .map(|event| event.llm().map(|call| (call.response_tier(), call.inference_geo())).unwrap())
        .collect();
    let batch = (Some("batch"), Some("us"));
    assert_eq!(described, [(None, None), batch, (Some("standard"), Some("global")), (None, None)]);
    let ours = lines_of(&events, []);
    let tiers: Vec<_> = ours.iter().map(|line| (line.key.service_tier.as_deref(), line.quantity)).collect();
    assert_eq!(tiers, [(None, 4_000), (Some("batch"), 2_000), (Some("standard"), 1_000)]);

    let billed =
        anthropic_page(&[anthropic_cost("0.9", "standard", "0-200k"), anthropic_cost("1.2", "batch", "0-200k")]);
    let result = reconcile(ours, billed);
    assert_eq!((result.matched.len(), result.missing_on_provider_side.len()), (1, 0));
    assert_eq!((result.matched[0].ours.quantity, result.difference), (7_000, SignedMoney::ZERO));
}

/// Returns a page of OpenAI's costs of June 1 with these line items and amounts.
fn openai_costs(items: &[(&str, &str)]) -> Vec<BilledLine> {
    let result = |(item, dollars): &(&str, &str)| {
        let amount = json!({"value": dollars, "currency": "usd"});
        json!({"object": "organization.costs.result", "amount": amount, "line_item": item})
    };
    let results: Vec<_> = items.iter().map(result).collect();
    openai_report(&json!({"data": [{"start_time": 1_780_272_000, "results": results}]}).to_string()).unwrap()
}

#[test]
fn a_line_item_without_a_tier_is_of_other_usage_than_one_with_a_tier() {
    let ours = || {
        ["standard", "batch"].map(|tier| {
            let key = LineKey::new(jiff_date("2026-06-01"), "openai").model("gpt-4o").unit(Unit::InputTokens);
            let mut line = OurLine::new(key.service_tier(tier));
            (line.requests, line.quantity) = (1, 1_000_000);
            line.cost = if tier == "batch" { "1.25" } else { "2.5" }.parse().unwrap();
            line
        })
    };
    let (usual, batch) = (("gpt-4o, input", "2.5"), ("gpt-4o, batch input", "1.25"));
    let page = openai_costs(&[usual, batch, ("web search tool calls", "0")]);
    let tiers: Vec<_> = page.iter().map(|line| line.key.service_tier.as_deref()).collect();
    assert_eq!(tiers, [Some("standard"), Some("batch"), None]);
    let is_equal = |billed: &[BilledLine], lines| {
        let result = reconcile(ours(), billed.to_vec());
        assert_eq!((result.matched.len(), result.missing_on_provider_side.len()), (lines, 0), "{result:?}");
        assert!(result.matched.iter().all(|line| line.difference == Some(SignedMoney::ZERO)), "{result:?}");
    };
    is_equal(&page[..2], 2);
    // On two pages, nothing shows that the first item is of the standard tier.
    let pages = [openai_costs(&[usual]), openai_costs(&[batch])].concat();
    is_equal(&pages, 2);
    // Usage that is not grouped by tier is that of both.
    let key = LineKey::new(jiff_date("2026-06-01"), "openai").model("gpt-4o").unit(Unit::InputTokens);
    let usage = BilledLine::new(key).quantity(2_000_000);
    for costs in [&page[..2], &pages] {
        is_equal(&[costs, std::slice::from_ref(&usage)].concat(), 1);
    }
}

#[test]
fn usage_on_another_tier_is_a_difference_with_its_reason() {
    let billed = anthropic_page(&[anthropic_cost("0.15", "batch", "0-200k")]);
    let result = reconcile(ours_by_tier(&["standard"]), billed);
    assert_eq!((result.missing_on_our_side.len(), result.missing_on_provider_side.len()), (1, 1));
    assert_eq!(reasons(&result), [(DifferenceReason::ServiceTier, "0.0015".to_owned())]);
}

#[test]
fn reports_that_are_grouped_differently_are_compared_over_all_tiers() {
    let costs = [anthropic_cost("0.3", "standard", "0-200k"), anthropic_cost("0.15", "batch", "0-200k")];
    for (tiers, costs, lines) in [(&["standard", "batch"][..], &costs[..], 1), (&["standard"], &costs[..1], 1)] {
        let usage = anthropic_usage(None, 1_000 * costs.len() as u64);
        let billed = [anthropic_page(costs), anthropic_page(&[usage])].concat();
        let result = reconcile(ours_by_tier(tiers), billed);
        assert_eq!((result.matched.len(), result.missing_on_our_side.len()), (lines, 0), "{result:?}");
        assert_eq!(result.matched[0].billed.quantity, Some(result.matched[0].ours.quantity));
    }
}

#[test]
fn line_items_and_usage_of_openai_may_name_a_tier() {
    let costs = r#"{"data":[{"start_time":1780272000,"results":[
        {"object":"organization.costs.result","amount":{"value":"1.5E-3","currency":"usd"},
         "line_item":"gpt-4o-2024-08-06, batch cached input","project_id":"proj_a"}]}],"has_more":true,"next_page":"page_AA"}"#;
    let usage = r#"{"data":[{"start_time":1780272000,"results":[
        {"object":"organization.usage.completions.result","input_tokens":7,"output_tokens":0,"model":"gpt-4o","batch":true},
        {"object":"organization.usage.completions.result","input_tokens":8,"output_tokens":0,"model":"gpt-4o","batch":false,
         "service_tier":"default"}]}],"has_more":false,"next_page":null}"#;
    let [cost] = &openai_report(costs).unwrap()[..] else { panic!("one line") };
    assert_eq!((cost.key.unit, cost.key.service_tier.as_deref()), (Some(Unit::CacheReadTokens), Some("batch")));
    assert_eq!(cost.amount, Some(SignedMoney::from_nano_usd(1_500_000)));
    let tiers: Vec<_> =
        openai_report(usage).unwrap().into_iter().map(|line| (line.key.service_tier.unwrap(), line.quantity)).collect();
    assert_eq!(tiers, [("batch".to_owned(), Some(7)), ("standard".to_owned(), Some(8))]);
    assert_eq!(next_page(costs).unwrap().as_deref(), Some("page_AA"));
    assert_eq!(next_page(usage).unwrap(), None);
    let error = next_page(r#"{"data":[],"has_more":true,"next_page":null}"#).unwrap_err().to_string();
    assert_eq!(error, "invalid report: expected the cursor `next_page`");
}

#[test]
fn costs_without_kinds_are_compared_as_a_whole() {
    let date = jiff_date("2026-06-01");
    let mut whole = OurLine::new(LineKey::new(date, "openai").model("gpt-4o"));
    (whole.requests, whole.cost) = (1, "0.03".parse().unwrap());
    let key = |unit| LineKey::new(date, "openai").model("gpt-4o").unit(unit);
    let billed = [(Unit::InputTokens, 0.01), (Unit::OutputTokens, 0.01)];
    let billed =
        billed.map(|(unit, usd)| BilledLine::new(key(unit)).quantity(5).amount(SignedMoney::from_usd(usd).unwrap()));
    let result = reconcile([whole], billed);
    assert_eq!((result.matched.len(), result.difference.to_string()), (1, "0.01".to_owned()));
    assert_eq!(result.by_reason.into_keys().collect::<Vec<_>>(), [DifferenceReason::QuantityOrPrice]);
}

#[test]
fn an_exact_model_name_takes_precedence_over_a_version() {
    let date = jiff_date("2026-06-01");
    let key = |model: &str| LineKey::new(date, "openai").model(model).unit(Unit::InputTokens);
    let ours = ["gpt-4o", "gpt-4o-2024-08-06"].map(|model| {
        let mut line = OurLine::new(key(model));
        (line.requests, line.cost) = (1, "1".parse().unwrap());
        line
    });
    let billed = ["gpt-4o", "gpt-4o-2024-08-06"]
        .map(|model| BilledLine::new(key(model)).amount(SignedMoney::from_usd(1.0).unwrap()));
    let result = reconcile(ours, billed);
    assert_eq!((result.matched.len(), result.difference), (2, SignedMoney::ZERO));
}

proptest::proptest! {
    /// The parts by reason add up to the difference, whatever both sides have.
    #[test]
    fn reasons_add_up_to_the_difference(
        provider in proptest::sample::select(vec!["openai", "anthropic"]),
        ours in proptest::collection::vec(
            (0..3_usize, 0..4_usize, 0..4_usize, 0..1_000_000_u64, 0..10_000_u64, 0..3_u64),
            0..12,
        ),
        billed in proptest::collection::vec(
            (
                0..4_usize,
                0..4_usize,
                0..4_usize,
                proptest::option::of(0..10_000_u64),
                proptest::option::of(-5_000_000..90_000_000_i64),
            ),
            0..12,
        ),
    ) {
        let date = jiff_date("2026-06-01");
        let units = [None, Some(Unit::InputTokens), Some(Unit::OutputTokens), Some(Unit::WebSearches)];
        let models = [Some("gpt-4o"), Some("gpt-4o-2024-08-06"), Some("o9"), None];
        let tiers = [Some("standard"), Some("batch"), Some("priority"), None];
        let key = |model: usize, unit: usize, tier: usize| {
            let mut key = LineKey::new(date, provider);
            (key.model, key.unit) = (models[model].map(str::to_owned), units[unit]);
            key.service_tier = tiers[tier].map(str::to_owned);
            key
        };
        let ours = ours.into_iter().map(|(model, unit, tier, nanos, quantity, unpriced)| {
            let mut line = OurLine::new(key(model, unit, tier));
            (line.requests, line.quantity, line.cost) = (unpriced + 1, quantity, Money::from_nano_usd(nanos));
            (line.unpriced_requests, line.unpriced_quantity) = (unpriced, unpriced * 7);
            line
        });
        let billed = billed.into_iter().map(|(model, unit, tier, quantity, nanos)| {
            let mut line = BilledLine::new(key(model, unit, tier));
            (line.quantity, line.amount) = (quantity, nanos.map(SignedMoney::from_nano_usd));
            line
        });
        let (ours, billed): (Vec<_>, Vec<_>) = (ours.collect(), billed.collect());
        let lines = ours.len();
        let result = reconcile(ours, billed.clone());
        assert_eq!(result.by_reason.values().copied().sum::<SignedMoney>(), result.difference);
        assert_eq!(result.billed, billed.iter().filter_map(|line| line.amount).sum());
        let known = SignedMoney::between(result.ours, Money::ZERO).nano_usd() - result.billed.nano_usd();
        assert_eq!(result.difference.nano_usd(), known);
        let requests: u64 = result.matched.iter().map(|line| line.ours.requests).sum::<u64>()
            + result.missing_on_provider_side.iter().map(|line| line.requests).sum::<u64>();
        assert!(requests >= lines as u64, "every line of ours is somewhere");
        for line in &result.matched {
            let parts: SignedMoney = line.by_reason.values().copied().sum();
            assert_eq!(parts, line.difference.unwrap_or_default());
        }
    }
}

#[test]
fn rejects_what_is_not_a_report() {
    for (page, expected) in [
        ("", "invalid report: expected a page of JSON, but "),
        ("{}", "invalid report: expected the array `data`"),
        (r#"{"data":[{"results":[]}]}"#, "invalid report: expected the start of bucket 0"),
        (
            r#"{"data":[{"start_time":1780272000,"results":[{"object":"organization.costs.result","amount":{"value":1,"currency":"eur"}}]}]}"#,
            "invalid report: expected amounts in USD, found \"eur\"",
        ),
        (
            r#"{"data":[{"start_time":1780272000,"results":[{"object":"organization.costs.result","amount":{"value":"x","currency":"usd"}}]}]}"#,
            "invalid report: expected an amount, found \"x\"",
        ),
    ] {
        let error = openai_report(page).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(anthropic_report(OPENAI_COSTS).is_err());
}
