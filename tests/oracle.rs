//! Compares usage and prices with the Python package `genai-prices`, over generated responses in every format it
//! supports.
//!
//! `tests/run.sh` installs the package, generates the cases with `tests/oracle.py`, and runs this test with their
//! folder in `ORACLE_CASES`.

#![cfg(feature = "llm")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::PathBuf,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value};
use tower::{Layer, Service};
use tower_tagging::{
    EventLayer,
    event::Clock,
    sink::MockSink,
    usage::{CatalogPrices, CostStatus, LlmEndpoint, Operation, Usage, UsageTap},
};

/// Intended differences, with their reasons.
const KNOWN: &[(&str, &str)] = &[
    ("outside", "cached tokens exceed the input: the package reduces them, this crate counts them in addition"),
    ("total", "the total shows that output includes thoughts"),
    ("extract", "a required count is missing: the package rejects the report, this crate reads the other counts"),
    (
        "saturated",
        "a part is larger than its total, or the total or the kind of a part is missing: the package prices the rest or \
         rejects the report, this crate prices reduced parts or totals and adds a diagnostic",
    ),
    (
        "details",
        "the package does not read counts of modalities, reasoning, or cache from this provider, although they have their own rates",
    ),
    ("cost", "OpenRouter reports its charge, which this crate uses as the cost"),
    (
        "parts",
        "cache writes are reported per time to live, without a sum: this crate counts them as cache writes and input",
    ),
    (
        "free",
        "the model has no rate for the counts: the package prices them at zero, this crate leaves the cost unknown",
    ),
    ("billed", "Cohere charges for billed units, which this crate reads instead of all tokens"),
    ("unit", "this crate has no units for annotated pages and seconds of realtime sessions"),
    ("shape", "an account export of Cursor, not an API response"),
];

#[derive(Clone, Debug)]
struct At(SystemTime);

impl Clock for At {
    fn now(&self) -> SystemTime {
        self.0
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

struct Ours {
    usage: Map<String, Value>,
    price: Option<f64>,
    status: CostStatus,
    is_consistent: bool,
}

fn ours(case: &Value, prices: &CatalogPrices) -> Ours {
    let text = |key: &str| case[key].as_str().unwrap().to_owned();
    let (provider, flavor) = (text("provider"), text("flavor"));
    let tap = UsageTap::new()
        .prices(prices.clone())
        .endpoint(move |_| Some(LlmEndpoint::new(provider.clone(), Operation::Other(flavor.clone().into()))));
    let sink = MockSink::new();
    let time = humantime::parse_rfc3339(case["timestamp"].as_str().unwrap()).unwrap();
    let layer = EventLayer::new(sink.clone()).clock(At(time)).usage(tap);
    let body = case["body"].to_string();
    let mut service = layer.layer(tower::service_fn(move |_: Request<()>| {
        let response = Response::builder().header("content-type", "application/json");
        std::future::ready(Ok::<_, Infallible>(response.body(Full::<Bytes>::from(body.clone())).unwrap()))
    }));
    let response = service.call(Request::new(())).now_or_never().unwrap().unwrap();
    response.into_body().collect().now_or_never().unwrap().unwrap();
    let event = sink.single();
    let llm = event.llm().unwrap();
    let package_name = |name: &str| match name {
        "reasoning_tokens" => "output_reasoning_tokens".to_owned(),
        "citation_tokens" => "output_citation_tokens".to_owned(),
        name => name.to_owned(),
    };
    let usage = llm.usage().into_iter().flat_map(Usage::iter);
    Ours {
        usage: usage.map(|(unit, count)| (package_name(unit.as_str()), count.into())).collect(),
        price: llm.cost().map(tower_tagging::usage::Money::usd),
        status: llm.cost_status(),
        is_consistent: event.diagnostics().is_empty(),
    }
}

/// Returns the entry of [`KNOWN`] that explains a difference.
fn reason(case: &Value, ours: &Ours) -> Option<&'static str> {
    let pair = format!("{}:{}", case["provider"].as_str().unwrap(), case["flavor"].as_str().unwrap());
    let theirs = &case["usage"];
    if pair.starts_with("cursor:") {
        return Some("shape");
    }
    if ["x-ai:realtime", "mistral:ocr_annotated"].contains(&pair.as_str()) {
        return Some("unit");
    }
    if !case["extract_error"].is_null() {
        return Some("extract");
    }
    let report = &case["body"]["usage"];
    let has_parts = ["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"]
        .iter()
        .any(|part| report["cache_creation"][part].as_u64().is_some());
    if has_parts && report["cache_creation_input_tokens"].is_null() {
        return Some("parts");
    }
    let count = |counts: &Value, unit: &str| counts[unit].as_u64().unwrap_or(0);
    let our_usage = Value::from(ours.usage.clone());
    let cached = count(theirs, "cache_read_tokens") + count(theirs, "cache_write_tokens");
    let their_input = count(theirs, "input_tokens");
    if cached > their_input && count(&our_usage, "input_tokens") == their_input + cached {
        return Some("outside");
    }
    let thoughts = count(theirs, "output_reasoning_tokens");
    if thoughts > 0 && count(&our_usage, "output_tokens") + thoughts == count(theirs, "output_tokens") {
        return Some("total");
    }
    if pair == "cohere:tokens" && report["billed_units"].is_object() {
        return Some("billed");
    }
    if pair == "openrouter:chat" && report["cost"].is_number() && has_same_usage(case, ours) {
        return Some("cost");
    }
    let is_without_tokens = theirs.as_object().is_some_and(|theirs| {
        theirs.iter().all(|(unit, count)| count.as_f64() == Some(0.0) || !unit.ends_with("_tokens"))
    });
    let is_free = case["price"]["total"].as_str().is_some_and(|total| total.parse() == Ok(0.0));
    if is_free && is_without_tokens && ours.price.is_none() {
        return Some("free");
    }
    let is_priced_by_theirs = case["price_error"].is_null();
    if has_same_usage(case, ours) && (!ours.is_consistent || (!is_priced_by_theirs && ours.price.is_some())) {
        return Some("saturated");
    }
    let has_details = theirs.as_object().is_some_and(|theirs| theirs.len() < ours.usage.len());
    (has_same_usage(case, ours) && has_details).then_some("details")
}

/// Returns `true` if our counts equal all counts of the package, and our additional counts are details.
fn has_same_usage(case: &Value, ours: &Ours) -> bool {
    let empty = Map::new();
    let theirs = case["usage"].as_object().unwrap_or(&empty);
    let is_detail = |unit: &str| {
        ["text", "audio", "image", "video", "reasoning", "searches", "cache"].iter().any(|kind| unit.contains(kind))
    };
    theirs.iter().all(|(unit, count)| ours.usage.get(unit) == Some(count))
        && ours.usage.keys().all(|unit| theirs.contains_key(unit) || is_detail(unit))
}

#[test]
#[ignore = "needs the Python package: run by tests/run.sh"]
fn usage_and_prices_equal_those_of_genai_prices() {
    let folder = PathBuf::from(
        std::env::var("ORACLE_CASES").expect("ORACLE_CASES must be the folder that tests/oracle.py wrote"),
    );
    let prices = CatalogPrices::from_json(&std::fs::read(folder.join("prices.json")).unwrap(), "oracle").unwrap();
    let cases = std::fs::read_to_string(folder.join("cases.jsonl")).unwrap();
    let (mut same, mut known, mut wrong) = (0, BTreeMap::<&str, usize>::new(), Vec::new());
    let mut pairs = BTreeMap::<String, usize>::new();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        *pairs.entry(format!("{}:{}", case["provider"], case["flavor"])).or_default() += 1;
        let ours = ours(&case, &prices);
        let total = case["price"]["total"].as_str().map(|total| total.parse::<f64>().unwrap());
        // The package uses decimals, the catalog uses floating-point numbers, and this crate uses whole nano-dollars.
        let same_price = match (total, ours.price) {
            (Some(theirs), Some(ours)) => (theirs - ours).abs() <= 1e-9 + 1e-12 * theirs,
            (None, None) => true,
            _ => false,
        };
        if has_same_usage(&case, &ours) && same_price {
            same += 1;
        } else if let Some(reason) = reason(&case, &ours) {
            assert!(KNOWN.iter().any(|(known, _)| *known == reason));
            *known.entry(reason).or_default() += 1;
        } else if wrong.len() < 40 {
            let (usage, cost) = (Value::from(ours.usage.clone()), ours.price);
            let consistent = ours.is_consistent;
            wrong.push(format!("{case}\n  ours: {usage} {cost:?} {:?}, consistent: {consistent}", ours.status));
        }
    }
    println!("{} pairs of provider and flavor; {same} equal cases", pairs.len());
    for (reason, count) in &known {
        let description = KNOWN.iter().find(|(known, _)| known == reason).unwrap().1;
        println!("{count} cases: {description}");
    }
    assert!(wrong.is_empty(), "unexplained differences:\n{}", wrong.join("\n"));
    assert!(cases.lines().count() >= 10_000 && same >= 9_000);
}
