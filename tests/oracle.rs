//! Usage and price beside those of the Python package `genai-prices`, over generated responses in every shape it knows.
//!
//! `tests/run.sh` installs the package, has `tests/oracle.py` write the cases, and runs this test with their folder in
//! `ORACLE_CASES`.

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

/// What is different on purpose, and why.
const KNOWN: &[(&str, &str)] = &[
    ("extract", "the package gives up on a report with a required count missing; ours reports the others"),
    (
        "saturated",
        "a part is larger than its whole, the whole is missing, or of which kind a part is: the package prices what is not \
         affected or gives up; ours prices the parts cut, or the totals, and notes it",
    ),
    (
        "details",
        "counts of modalities, reasoning and cache that the package does not read of this provider, which have a rate of their own",
    ),
    ("cost", "OpenRouter says what it charges, and that is the cost of ours"),
    (
        "parts",
        "writes to the cache by their time to live alone, without their sum, are writes and input of ours all the same",
    ),
    (
        "free",
        "a model that is not free, and counts that it has no price for, cost nothing by the package; ours have no price",
    ),
    ("billed", "Cohere bills its billed units, which ours reads in place of all tokens"),
    ("unit", "annotated pages and the seconds of a realtime session are no units of ours"),
    ("shape", "an export of Cursor's accounts, no response of an API"),
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
    let named = |name: &str| match name {
        "reasoning_tokens" => "output_reasoning_tokens".to_owned(),
        "citation_tokens" => "output_citation_tokens".to_owned(),
        name => name.to_owned(),
    };
    let usage = llm.usage().into_iter().flat_map(Usage::iter);
    Ours {
        usage: usage.map(|(unit, count)| (named(unit.as_str()), count.into())).collect(),
        price: llm.cost().map(tower_tagging::usage::Money::usd),
        status: llm.cost_status(),
        is_consistent: event.diagnostics().is_empty(),
    }
}

/// The reason why ours may differ from the package's, if it is one of [`KNOWN`].
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

/// Whether all counts that the package reads are ours, and others of ours are details.
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
#[ignore = "tests/run.sh runs it, with the package installed"]
fn ours_is_what_the_package_says() {
    let folder = PathBuf::from(std::env::var("ORACLE_CASES").expect("ORACLE_CASES: the folder of tests/oracle.py"));
    let prices = CatalogPrices::from_json(&std::fs::read(folder.join("prices.json")).unwrap(), "oracle").unwrap();
    let cases = std::fs::read_to_string(folder.join("cases.jsonl")).unwrap();
    let (mut same, mut known, mut wrong) = (0, BTreeMap::<&str, usize>::new(), Vec::new());
    let mut pairs = BTreeMap::<String, usize>::new();
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        *pairs.entry(format!("{}:{}", case["provider"], case["flavor"])).or_default() += 1;
        let ours = ours(&case, &prices);
        let total = case["price"]["total"].as_str().map(|total| total.parse::<f64>().unwrap());
        // The package counts in decimals, the catalog in floating point, ours in whole nano-dollars.
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
            let (is, cost) = (Value::from(ours.usage.clone()), ours.price);
            let consistent = ours.is_consistent;
            wrong.push(format!("{case}\n  ours: {is} {cost:?} {:?}, consistent: {consistent}", ours.status));
        }
    }
    println!("{} pairs of provider and flavor; {same} cases the same", pairs.len());
    for (reason, count) in &known {
        let why = KNOWN.iter().find(|(known, _)| known == reason).unwrap().1;
        println!("{count} cases: {why}");
    }
    assert!(wrong.is_empty(), "unexplained:\n{}", wrong.join("\n"));
    assert!(cases.lines().count() >= 10_000 && same >= 9_000);
}
