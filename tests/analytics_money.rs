//! Tests of cost lines and of repricing.

#![cfg(all(feature = "analytics", feature = "llm"))]

mod common;
#[path = "common/events.rs"]
mod events;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use tower_tagging::{
    Event, Tags,
    analytics::{
        Analytics, Dimension, Field, Filter, Grant, Measure, Query, TimeRange,
        reprice::{NotRepriced, RepriceOptions, reprice},
    },
    sink::BatchWriter,
    store::MemoryStore,
    usage::{CatalogPrices, ExtraCost, Money, OverlayPrices, Rates, SignedMoney, Unit, Usage, price_fn},
};

const HOUR: Duration = Duration::from_secs(3_600);

fn day() -> SystemTime {
    humantime::parse_rfc3339("2026-06-01T00:00:00Z").unwrap()
}

fn june() -> TimeRange {
    TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "UTC").unwrap()
}

fn analytics(events: &[Arc<Event>]) -> Analytics {
    let store = MemoryStore::new();
    store.writer().write(events).unwrap();
    Analytics::new(store)
}

/// Returns events of calls with this usage, priced by the bundled catalog.
fn calls(time: SystemTime, count: usize, provider: &str, model: &str, usage: &Usage) -> Vec<Arc<Event>> {
    events::priced_events_at(time, count, |number, tags: &Tags| {
        tags.insert("team", if number.is_multiple_of(2) { "search" } else { "chat" });
        tags.record_usage(usage.clone().of(provider, model));
    })
}

fn cached() -> Usage {
    Usage::tokens(2_006, 300).with(Unit::CacheReadTokens, 1_920)
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the memory store answers at once")
}

#[test]
fn cost_lines_of_rolled_up_calls_are_added_by_kind() {
    let events = events::priced_events_at(day(), 1, |_, tags: &Tags| {
        tags.record_usage(cached().of("openai", "gpt-4o"));
        tags.record_usage(Usage::tokens(100, 10).of("openai", "gpt-4o-mini"));
    });
    let call = events[0].llm().unwrap();
    let lines = call.cost_lines().unwrap();
    let quantities: Vec<_> = lines.iter().map(|line| (line.unit, line.quantity)).collect();
    assert_eq!(quantities, [(Unit::InputTokens, 186), (Unit::OutputTokens, 310), (Unit::CacheReadTokens, 1_920)]);
    assert_eq!(lines.iter().map(|line| line.cost).sum::<Money>(), call.cost().unwrap());
    assert_eq!(call.cache_savings(), Some(SignedMoney::from_nano_usd(2_400_000)));
}

#[test]
fn a_recorded_cost_has_no_lines() {
    let events = events::priced_events_at(day(), 1, |_, tags: &Tags| {
        tags.record_usage(cached().of("openai", "gpt-4o"));
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(7)));
    });
    let call = events[0].llm().unwrap();
    assert!(call.cost().is_some() && call.cost_lines().is_none());
}

#[test]
fn totals_have_the_net_cache_savings() {
    let writes = Usage::tokens(1_000, 0).with(Unit::CacheWriteTokens, 1_000);
    let mut events = calls(day(), 1, "openai", "gpt-4o", &cached());
    events.extend(calls(day(), 1, "anthropic", "claude-sonnet-4-5", &writes));
    let query = Query::new(june()).measure(Measure::CacheSavings);
    let answer = now(analytics(&events).run(&query, &Grant::everything())).unwrap();
    // Reads saved 1,920 × $1.25, and writes cost 1,000 × $0.75, per million.
    assert_eq!(answer.total.totals.cache_savings_nanos, 2_400_000 - 750_000);
}

#[test]
fn the_same_prices_return_the_same_costs() {
    let mut events = calls(day(), 3, "openai", "gpt-4o", &cached());
    let searched = Usage::tokens(5_000, 17).with(Unit::WebSearches, 2).with(Unit::CacheWriteTokens, 1_000);
    events.extend(calls(day() + HOUR, 2, "anthropic", "claude-opus-4-6", &searched));
    let query = Query::new(june()).group_by(Field::Model).group_by(Dimension::tag("team"));
    let same = reprice_with(&events, &query, &RepriceOptions::new(), &Grant::everything());
    assert_eq!((same.total.requests, same.total.difference), (5, SignedMoney::ZERO));
    assert_eq!(same.total.old, same.total.new);
    assert!(same.total.old > Money::ZERO && same.total.not_repriced.is_empty());
    let groups: Vec<_> = same.groups.iter().map(|group| (group.values.clone(), group.sums.requests)).collect();
    let values = |model: &str, team: &str| vec![Some(model.to_owned()), Some(team.to_owned())];
    let expected = [
        (values("claude-opus-4-6", "chat"), 1),
        (values("claude-opus-4-6", "search"), 1),
        (values("gpt-4o", "chat"), 1),
        (values("gpt-4o", "search"), 2),
    ];
    assert_eq!(groups, expected);
    let sum: Money = same.groups.iter().map(|group| group.sums.old).sum();
    assert_eq!(sum, same.total.old);
}

fn reprice_with(
    events: &[Arc<Event>],
    query: &Query,
    options: &RepriceOptions,
    grant: &Grant,
) -> tower_tagging::analytics::reprice::Repriced {
    now(reprice(&analytics(events), query, &CatalogPrices::bundled(), options, grant)).unwrap()
}

#[test]
fn another_model_returns_its_cost() {
    let events = calls(day(), 2, "openai", "gpt-4o", &Usage::tokens(1_000_000, 0));
    let options = RepriceOptions::new().model("openai", "gpt-4o-mini");
    let repriced = reprice_with(&events, &Query::new(june()), &options, &Grant::everything());
    let dollars =
        (repriced.total.old.to_string(), repriced.total.new.to_string(), repriced.total.difference.to_string());
    assert_eq!(dollars, ("5".into(), "0.3".into(), "-4.7".into()));
    assert!(repriced.groups.is_empty());
}

#[test]
fn requests_without_a_new_cost_are_reported_by_reason_and_never_zero() {
    let mut events = calls(day(), 1, "openai", "gpt-4o", &cached());
    events.extend(calls(day(), 2, "openai", "no-such-model", &Usage::tokens(10, 10)));
    events.extend(events::priced_events_at(day(), 1, |_, tags: &Tags| {
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(7)).of("rows", 1.0));
    }));
    let prices = OverlayPrices::over(price_fn(|_| None)).with(
        "openai",
        "no-such-model",
        Rates::per_million(Money::from_nano_usd(1_000_000_000), Money::from_nano_usd(1_000_000_000)),
    );
    let analytics = analytics(&events);
    let (query, options) = (Query::new(june()), RepriceOptions::new());
    let sums = now(reprice(&analytics, &query, &prices, &options, &Grant::everything())).unwrap().total;
    assert_eq!((sums.requests, sums.newly_priced), (0, 2));
    assert_eq!(sums.newly_priced_cost, Money::from_nano_usd(2 * 20_000));
    let reasons: Vec<_> = sums.not_repriced.into_iter().collect();
    assert_eq!(reasons, [(NotRepriced::RecordedCost, 1), (NotRepriced::NoPrice, 1)]);
    assert_eq!(sums.not_repriced_cost, Money::from_nano_usd(5_615_007));
}

#[test]
fn a_grant_limits_what_is_repriced() {
    let events = calls(day(), 3, "openai", "gpt-4o", &cached());
    let chat = Grant::only([Filter::is(Dimension::tag("team"), "chat")]);
    let repriced = reprice_with(&events, &Query::new(june()), &RepriceOptions::new(), &chat);
    assert_eq!(repriced.total.requests, 1);
}

#[test]
fn a_price_for_a_part_of_the_usage_is_no_new_cost() {
    let searched = Usage::tokens(5_000, 17).with(Unit::WebSearches, 2);
    let events = calls(day(), 1, "anthropic", "claude-opus-4-6", &searched);
    let rates = Rates::per_million(Money::from_nano_usd(1_000_000_000), Money::from_nano_usd(1_000_000_000));
    let tokens_only = OverlayPrices::over(price_fn(|_| None)).with("anthropic", "claude-opus-4-6", rates);
    let (query, options, grant) = (Query::new(june()), RepriceOptions::new(), Grant::everything());
    let sums = now(reprice(&analytics(&events), &query, &tokens_only, &options, &grant)).unwrap().total;
    assert_eq!(sums.not_repriced.into_iter().collect::<Vec<_>>(), [(NotRepriced::PartialPrice, 1)]);
    assert_eq!((sums.requests, sums.new), (0, Money::ZERO));
}
