//! Tests of the FOCUS export: its columns, its sums, and the official validator.

#![cfg(all(feature = "analytics", feature = "llm"))]

mod common;
#[path = "common/events.rs"]
mod events;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower_tagging::{
    Event, Tags,
    analytics::{
        Analytics, Dimension, Filter, Grant, Query, RowQuery, TimeRange,
        focus::{FocusError, FocusExport, FocusManifest, FocusVersion},
    },
    registry::Permission,
    sink::BatchWriter,
    store::MemoryStore,
    usage::{Cost, ExtraCost, Money, PriceBook, PriceQuery, Unit, Usage, UsageTap, price_fn},
};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn first() -> SystemTime {
    humantime::parse_rfc3339("2026-06-29T12:00:00Z").unwrap()
}

fn query() -> RowQuery {
    RowQuery::new(TimeRange::parse("2026-06-01T00:00:00Z", "2026-08-01T00:00:00Z", "UTC").unwrap())
}

/// A record by column.
type Record = HashMap<String, String>;

struct Export {
    columns: Vec<String>,
    records: Vec<Record>,
    manifest: FocusManifest,
    csv: Vec<u8>,
}

fn stored(events: &[Arc<Event>]) -> MemoryStore {
    let store = MemoryStore::new();
    store.writer().write(events).unwrap();
    store
}

fn export(events: &[Arc<Event>], grant: &Grant) -> Export {
    export_range(events, query().range, grant)
}

fn export_range(events: &[Arc<Event>], range: TimeRange, grant: &Grant) -> Export {
    let query = RowQuery::new(range);
    let export = FocusExport::new("acme").version(FocusVersion::V1_2).tag("team").tag("feature");
    let mut file = Vec::new();
    let write = async { export.write(&Analytics::new(stored(events)), &query, grant, &mut file).await };
    let manifest = write.now_or_never().expect("the memory store answers at once").unwrap();
    let mut reader = csv::Reader::from_reader(file.as_slice());
    let columns = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let records = reader.deserialize().map(Result::unwrap).collect();
    Export { columns, records, manifest, csv: file }
}

fn tag(number: usize, tags: &Tags) {
    tags.insert("team", if number.is_multiple_of(2) { "search" } else { "chat" });
    tags.insert("secret", "not exported");
}

fn calls(time: SystemTime, count: usize, provider: &str, model: &str, usage: &Usage) -> Vec<Arc<Event>> {
    events::priced_events_at(time, count, |number, tags| {
        tag(number, tags);
        tags.record_usage(usage.clone().of(provider, model));
    })
}

/// Returns events whose book knows the cost of input and output, but no lines.
fn calls_without_lines(time: SystemTime, count: usize) -> Vec<Arc<Event>> {
    let book = price_fn(|_: &PriceQuery<'_>| {
        let nanos = Money::from_nano_usd;
        Some(Cost::custom(nanos(1_003)).parts(nanos(300), nanos(700)))
    });
    assert!(book.price(&PriceQuery::new(None, "any", &Usage::new())).unwrap().lines.is_none());
    let sink = tower_tagging::sink::MockSink::new();
    let layer = tower_tagging::EventLayer::new(sink.clone()).usage(UsageTap::new().prices(book));
    let layer = layer.clock(events::FixedClock(time));
    events::emit(&layer, count, |number, tags| {
        tag(number, tags);
        tags.record_usage(Usage::tokens(30, 7).of("openai", "house-model"));
    });
    sink.events()
}

/// Returns events of every kind: with lines, with parts, with a recorded cost, without a price, and without an LLM call.
fn mixed() -> Vec<Arc<Event>> {
    let cached = Usage::tokens(2_006, 300).with(Unit::CacheReadTokens, 1_920);
    let searched = Usage::tokens(500, 60).with(Unit::CacheWriteTokens, 400).with(Unit::WebSearches, 2);
    let mut events = calls(first(), 5, "openai", "gpt-4o", &cached);
    events.extend(calls(first() + DAY, 3, "openai", "gpt-4o", &cached));
    events.extend(calls(first() + DAY, 3, "anthropic", "claude-opus-4-6", &searched));
    events.extend(calls_without_lines(first() + 2 * DAY, 3));
    events.extend(events::priced_events_at(first() + 2 * DAY, 1, |_, tags| {
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(1_000_000_007)).of("rows", 1.0));
    }));
    let unpriced = Usage::tokens(100, 10).with(Unit::CacheReadTokens, 40);
    events.extend(calls(first() + 3 * DAY, 3, "openai", "no-such-model", &unpriced));
    events.extend(events::priced_events_at(first(), 2, tag));
    events
}

fn sum(records: &[Record], column: &str) -> Money {
    records.iter().map(|record| record[column].parse::<Money>().unwrap()).sum()
}

#[test]
fn a_row_is_a_kind_of_token_of_a_day() {
    let cached = Usage::tokens(2_006, 300).with(Unit::CacheReadTokens, 1_920);
    let Export { records, manifest, .. } =
        export(&calls(first(), 4, "openai", "gpt-4o", &cached), &Grant::everything());
    assert_eq!((records.len(), manifest.rows, manifest.priced_requests), (6, 6, 4));
    let search: BTreeMap<_, _> = records
        .iter()
        .filter(|record| record["Tags"] == r#"{"team":"search"}"#)
        .map(|record| (record["SkuMeter"].as_str(), record))
        .collect();
    let meters: Vec<_> = search.keys().copied().collect();
    assert_eq!(meters, ["Cache Read Input Tokens", "Input Tokens", "Output Tokens"]);
    let read = search["Cache Read Input Tokens"];
    for (column, value) in [
        ("BilledCost", "0.0048"),
        ("BillingAccountId", "acme"),
        ("BillingCurrency", "USD"),
        ("BillingPeriodEnd", "2026-07-01T00:00:00Z"),
        ("BillingPeriodStart", "2026-06-01T00:00:00Z"),
        ("ChargeCategory", "Usage"),
        ("ChargeClass", ""),
        ("ChargeDescription", "gpt-4o: Cache Read Input Tokens"),
        ("ChargeFrequency", "Usage-Based"),
        ("ChargePeriodEnd", "2026-06-30T00:00:00Z"),
        ("ChargePeriodStart", "2026-06-29T00:00:00Z"),
        ("ConsumedQuantity", "3840.0"),
        ("ConsumedUnit", "Tokens"),
        ("ContractedUnitPrice", "1.25"),
        ("InvoiceIssuerName", "OpenAI"),
        ("ListUnitPrice", "1.25"),
        ("PricingCategory", "Standard"),
        ("PricingCurrency", "USD"),
        ("PricingQuantity", "0.00384"),
        ("PricingUnit", "1000000 Tokens"),
        ("ProviderName", "OpenAI"),
        ("PublisherName", "OpenAI"),
        ("ServiceCategory", "AI and Machine Learning"),
        ("ServiceName", "OpenAI API"),
        ("ServiceSubcategory", "Generative AI"),
        ("SkuId", "openai/gpt-4o/Cache Read Input Tokens"),
        ("SkuPriceDetails", r#"{"x_Model":"gpt-4o"}"#),
        ("x_CostStatus", "priced"),
        ("x_Model", "gpt-4o"),
        ("x_RequestCount", "2"),
    ] {
        assert_eq!(read[column], value, "{column}");
    }
}

/// The type of a column.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Decimal,
    Time,
    Json,
}
use Kind::{Decimal, Json, Text, Time};

/// The columns that the specification declares as mandatory, or that apply to usage of an API, and whether they may be null.
const RULES: &[(&str, Kind, bool)] = &[
    ("BilledCost", Decimal, false),
    ("BillingAccountId", Text, false),
    ("BillingAccountName", Text, true),
    ("BillingAccountType", Text, false),
    ("BillingCurrency", Text, false),
    ("BillingPeriodEnd", Time, false),
    ("BillingPeriodStart", Time, false),
    ("ChargeCategory", Text, false),
    ("ChargeClass", Text, true),
    ("ChargeDescription", Text, true),
    ("ChargeFrequency", Text, false),
    ("ChargePeriodEnd", Time, false),
    ("ChargePeriodStart", Time, false),
    // Null is allowed for charges that are not usage only.
    ("ConsumedQuantity", Decimal, false),
    ("ConsumedUnit", Text, false),
    ("ContractedCost", Decimal, false),
    ("ContractedUnitPrice", Decimal, false),
    ("EffectiveCost", Decimal, false),
    ("InvoiceIssuerName", Text, false),
    ("ListCost", Decimal, false),
    ("ListUnitPrice", Decimal, false),
    ("PricingCategory", Text, false),
    ("PricingCurrency", Text, false),
    ("PricingCurrencyContractedUnitPrice", Decimal, false),
    ("PricingCurrencyEffectiveCost", Decimal, false),
    ("PricingCurrencyListUnitPrice", Decimal, false),
    ("PricingQuantity", Decimal, false),
    ("PricingUnit", Text, false),
    ("ProviderName", Text, false),
    ("PublisherName", Text, false),
    ("ServiceCategory", Text, false),
    ("ServiceName", Text, false),
    ("ServiceSubcategory", Text, false),
    ("SkuId", Text, false),
    ("SkuMeter", Text, false),
    ("SkuPriceDetails", Json, false),
    ("SkuPriceId", Text, false),
    ("SubAccountId", Text, true),
    ("SubAccountName", Text, true),
    ("SubAccountType", Text, true),
    ("Tags", Json, true),
];

/// The values that the specification allows.
const VALUES: &[(&str, &[&str])] = &[
    ("BillingCurrency", &["USD"]),
    ("ChargeCategory", &["Usage", "Purchase", "Tax", "Credit", "Adjustment"]),
    ("ChargeClass", &["", "Correction"]),
    ("ChargeFrequency", &["One-Time", "Recurring", "Usage-Based"]),
    ("PricingCategory", &["Standard", "Dynamic", "Committed", "Other"]),
    ("PricingCurrency", &["USD"]),
    ("ServiceCategory", &["AI and Machine Learning"]),
    ("ServiceSubcategory", &["Generative AI"]),
];

fn time(text: &str) -> jiff::Timestamp {
    assert!(text.len() == 20 && text.ends_with('Z'), "{text}: times are UTC, as YYYY-MM-DDTHH:mm:ssZ");
    text.parse().unwrap()
}

fn meet_the_rules(records: &[Record]) {
    for record in records {
        for (column, kind, is_nullable) in RULES {
            let value = record[*column].as_str();
            assert!(*is_nullable || !value.is_empty(), "{column} is null: {record:?}");
            let is_valid = match kind {
                Text => value.trim() == value,
                Decimal => value.parse::<f64>().is_ok_and(f64::is_finite) && !value.contains(['e', 'E']),
                Time => time(value) > jiff::Timestamp::UNIX_EPOCH,
                Json => serde_json::from_str::<BTreeMap<String, String>>(value).is_ok(),
            };
            assert!(is_valid || value.is_empty(), "{column}: {value}");
        }
        for (column, values) in VALUES {
            assert!(values.contains(&record[*column].as_str()), "{column}: {}", record[*column]);
        }
        for (column, value) in record {
            let is_known = column.starts_with("x_") || RULES.iter().any(|(name, ..)| name == column);
            assert!(is_known || value.is_empty(), "{column} does not apply to usage of an API");
        }
        let is_null = |column: &str| record[column].is_empty();
        assert_eq!(is_null("SubAccountId"), is_null("SubAccountType"));
        let number = |column: &str| record[column].parse::<f64>().unwrap();
        let (price, quantity) = (number("ContractedUnitPrice"), number("PricingQuantity"));
        assert!((price * quantity - number("ContractedCost")).abs() < 1e-8 * quantity.max(1.0), "{record:?}");
        for column in ["ListCost", "ContractedCost", "EffectiveCost", "PricingCurrencyEffectiveCost"] {
            assert_eq!(record[column], record["BilledCost"], "{column}: prices are those that were recorded");
        }
        let [start, end] = ["ChargePeriodStart", "ChargePeriodEnd"].map(|column| time(&record[column]));
        assert_eq!(end.duration_since(start).as_hours(), 24, "{record:?}");
        let [month, next] = ["BillingPeriodStart", "BillingPeriodEnd"].map(|column| time(&record[column]));
        assert!(month <= start && end <= next, "{record:?}");
        let [month, next] = [month, next].map(|time| TimeZone::UTC.to_datetime(time));
        assert_eq!(month, month.date().first_of_month().to_datetime(jiff::civil::Time::midnight()), "{record:?}");
        assert_eq!(month.checked_add(jiff::Span::new().months(1)).unwrap(), next, "{record:?}");
    }
}

#[test]
fn rows_meet_the_rules_of_focus_1_2() {
    let Export { columns, records, .. } = export(&mixed(), &Grant::everything());
    assert_eq!(columns, FocusVersion::V1_2.columns());
    let standard: Vec<_> = columns.iter().filter(|name| !name.starts_with("x_")).collect();
    assert_eq!(standard.len(), 57);
    assert!(standard.is_sorted(), "the columns are in alphabetical order");
    assert!(!records.is_empty());
    meet_the_rules(&records);
}

#[test]
fn the_manifest_names_the_digest_of_the_file() {
    let Export { manifest, csv, .. } = export(&mixed(), &Grant::everything());
    let digest = Sha256::digest(&csv).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(manifest.sha256, digest);
    let again = export(&mixed()[1..], &Grant::everything()).manifest;
    assert_ne!(again.sha256, digest, "another request makes another file");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The file has exactly the cost that a query for the same requests returns, and the manifest has all other calls.
    #[test]
    fn the_file_has_the_cost_of_the_same_query(
        drawn in prop::collection::vec((0..6_usize, 0..400_u64, 0..3_000_u64, 0..3_000_u64, 0..2_000_000_000_u64), 1..30),
        days in (0..20_i64, 1..60_i64),
        is_limited in any::<bool>(),
    ) {
        let mut all = Vec::new();
        for (kind, hours, input, output, nanos) in drawn {
            let time = first() + Duration::from_secs(hours * 3_600);
            let usage = Usage::tokens(input, output).with(Unit::CacheReadTokens, input / 3);
            all.extend(match kind {
                0 => calls(time, 2, "openai", "gpt-4o", &usage),
                1 => calls(time, 1, "anthropic", "claude-opus-4-6", &usage.with(Unit::WebSearches, nanos % 3)),
                2 => calls_without_lines(time, 2),
                3 => calls(time, 2, "openai", "no-such-model", &usage),
                4 => events::priced_events_at(time, 2, |number, tags| {
                    tag(number, tags);
                    tags.record_cost(ExtraCost::new(Money::from_nano_usd(nanos)));
                }),
                _ => events::priced_events_at(time, 2, tag),
            });
        }
        let chat = Grant::only([Filter::is(Dimension::tag("team"), "chat")]).with_permission(Permission::LogsExport);
        let grant = if is_limited { chat } else { Grant::everything() };
        let start = TimeZone::UTC.to_datetime(jiff::Timestamp::try_from(first()).unwrap()).date();
        let day = |days: i64| format!("{}T00:00:00Z", start + jiff::Span::new().days(days));
        let range = TimeRange::parse(&day(days.0), &day(days.0 + days.1), "UTC").unwrap();
        let answer = Analytics::new(stored(&all)).run(&Query::new(range.clone()), &grant).now_or_never().unwrap().unwrap();
        let Export { records, manifest, csv, .. } = export_range(&all, range, &grant);
        let totals = answer.total.totals;
        for column in ["BilledCost", "ContractedCost", "EffectiveCost", "ListCost"] {
            assert_eq!(sum(&records, column).nano_usd(), totals.cost_nanos, "{column}");
        }
        assert_eq!(manifest.billed_cost_nanos, totals.cost_nanos);
        assert_eq!((manifest.priced_requests, manifest.unpriced_requests), (totals.priced, totals.unpriced));
        assert_eq!(manifest.unpriced.iter().map(|usage| usage.requests).sum::<u64>(), totals.unpriced);
        assert_eq!(manifest.rows, records.len() as u64);
        assert_eq!(manifest.sha256.len(), 64);
        assert!(csv.starts_with(b"AvailabilityZone,"));
        meet_the_rules(&records);
    }
}

#[test]
fn the_billed_cost_is_exactly_the_known_cost() {
    let events = mixed();
    let known: Money = events.iter().filter_map(|event| event.llm()?.cost()).sum();
    let Export { records, manifest, .. } = export(&events, &Grant::everything());
    for column in ["BilledCost", "ContractedCost", "EffectiveCost", "ListCost"] {
        assert_eq!(sum(&records, column), known, "{column}");
    }
    assert_eq!(manifest.billed_cost(), known);
    let of =
        |meter: &str| -> Vec<Record> { records.iter().filter(|record| record["SkuMeter"] == meter).cloned().collect() };
    assert_eq!(sum(&of("All Input Tokens"), "BilledCost").nano_usd(), 900);
    assert_eq!(sum(&of("All Output Tokens"), "BilledCost").nano_usd(), 2_100);
    assert_eq!(sum(&of("Other"), "BilledCost").nano_usd(), 9 + 1_000_000_007);
    assert_eq!(sum(&of("Web Searches"), "BilledCost").to_string(), "0.06");
}

#[test]
fn usage_without_a_price_is_in_the_manifest_and_never_a_row() {
    let Export { records, manifest, .. } = export(&mixed(), &Grant::everything());
    assert!(records.iter().all(|record| record["x_Model"] != "no-such-model"));
    assert!(records.iter().all(|record| record["BilledCost"].parse::<Money>().unwrap() > Money::ZERO));
    assert_eq!((manifest.unpriced_requests, manifest.unpriced.len()), (3, 2));
    let json: Value = serde_json::to_value(&manifest).unwrap();
    assert_eq!((json["focus_version"].as_str(), json["rows"].as_u64()), (Some("1.2"), Some(records.len() as u64)));
    let search = json["unpriced"].as_array().unwrap().iter().find(|usage| usage["tags"]["team"] == "search").unwrap();
    let expected = serde_json::json!({
        "day": "2026-07-02", "provider": "openai", "model": "no-such-model", "workspace": null, "tags": {"team": "search"},
        "cost_status": "unpriced_model", "requests": 2,
        "quantities": {"input_tokens": 120, "output_tokens": 20, "cache_read_tokens": 80}
    });
    assert_eq!(*search, expected);
}

#[test]
fn a_grant_limits_the_rows() {
    let chat = Grant::only([Filter::is(Dimension::tag("team"), "chat")]).with_permission(Permission::LogsExport);
    let Export { records, .. } = export(&mixed(), &chat);
    assert!(!records.is_empty() && records.iter().all(|record| record["Tags"] == r#"{"team":"chat"}"#));
}

#[test]
fn an_empty_range_has_a_header() {
    let Export { columns, records, manifest, .. } = export(&[], &Grant::everything());
    assert!(records.is_empty() && columns.len() > 57);
    assert_eq!((manifest.rows, manifest.billed_cost()), (0, Money::ZERO));
}

#[test]
fn reports_that_the_file_cannot_be_written() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let store = MemoryStore::new();
    store.writer().write(&mixed()).unwrap();
    let (analytics, grant) = (Analytics::new(store), Grant::everything());
    let write = async { FocusExport::new("acme").write(&analytics, &query(), &grant, Full).await };
    let error = write.now_or_never().unwrap().unwrap_err();
    assert!(matches!(&error, FocusError::Write(error) if error.kind() == io::ErrorKind::StorageFull), "{error}");
}

/// `tests/run.sh` installs the validator and sets `FOCUS_PYTHON`.
#[test]
#[ignore = "needs focus-validator"]
fn the_validator_accepts_the_file() {
    let python = std::env::var("FOCUS_PYTHON").expect("FOCUS_PYTHON is the Python with focus-validator");
    let folder = common::TempFolder::new("focus");
    let file = folder.file("focus.csv");
    std::fs::write(&file, export(&mixed(), &Grant::everything()).csv).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/focus_validator.py");
    let output = Command::new(python).arg(script).arg(&file).arg(folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.to_lowercase().contains("failed"), "{text}");
}
