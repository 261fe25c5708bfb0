//! Tests of cost lines over the whole bundled catalog.

use std::time::Duration;

use super::{CatalogPrices, Cost, OverlayPrices, PriceBook, PriceQuery, Rates, cost_lines::add_up, price_fn};
use crate::usage::{CostLine, Money, SignedMoney, Unit, Usage};

fn line(unit: Unit, quantity: u64, nanos: u64) -> CostLine {
    CostLine::new(unit, quantity, Money::from_nano_usd(nanos))
}

fn cost(provider: &str, model: &str, usage: &Usage) -> Cost {
    let time = humantime::parse_rfc3339("2026-06-01T00:00:00Z").unwrap();
    let query = PriceQuery { time, ..PriceQuery::new(Some(provider), model, usage) };
    let catalog = CatalogPrices::bundled();
    let [first, _, third] = [(); 3].map(|()| catalog.price(&query).unwrap());
    // The catalog prices the first call, and a price line may price the third one.
    assert_eq!((&first.lines, first.cache_savings), (&third.lines, third.cache_savings));
    first
}

#[test]
fn the_lines_of_a_call_are_disjoint() {
    let usage = Usage::tokens(2_006, 300).with(Unit::CacheReadTokens, 1_920).with(Unit::ReasoningTokens, 256);
    let cost = cost("openai", "gpt-4o", &usage);
    let expected = [
        line(Unit::InputTokens, 86, 215_000),
        line(Unit::OutputTokens, 300, 3_000_000),
        line(Unit::CacheReadTokens, 1_920, 2_400_000),
    ];
    assert_eq!(cost.lines.as_deref(), Some(&expected[..]));
    assert_eq!(cost.cache_savings, Some(SignedMoney::from_nano_usd(2_400_000)));
}

#[test]
fn cache_writes_reduce_the_savings() {
    let usage = Usage::tokens(10_000, 0)
        .with(Unit::CacheReadTokens, 1_000)
        .with(Unit::CacheWriteTokens, 6_000)
        .with(Unit::CacheWrite5mTokens, 4_000)
        .with(Unit::CacheWrite1hTokens, 2_000);
    // $3 per million, 0.3 for reads, 3.75 for writes, and 6 for writes for an hour.
    let cost = cost("anthropic", "claude-sonnet-4-5", &usage);
    let expected = [
        line(Unit::InputTokens, 3_000, 9_000_000),
        line(Unit::CacheReadTokens, 1_000, 300_000),
        line(Unit::CacheWriteTokens, 4_000, 15_000_000),
        line(Unit::CacheWrite1hTokens, 2_000, 12_000_000),
    ];
    assert_eq!(cost.lines.as_deref(), Some(&expected[..]));
    assert_eq!(cost.cache_savings, Some(SignedMoney::from_nano_usd(2_700_000 - 3_000_000 - 6_000_000)));
}

#[test]
fn searches_and_surcharges_have_lines() {
    let usage = Usage::tokens(1_000, 0).with(Unit::WebSearches, 2);
    let searched = cost("anthropic", "claude-opus-4-6", &usage);
    assert_eq!(searched.lines.unwrap().last(), Some(&line(Unit::WebSearches, 2, 20_000_000)));
    let query = PriceQuery::new(Some("anthropic"), "claude-opus-4-6", &usage);
    let fast = CatalogPrices::bundled().price(&PriceQuery { service_tier: Some("fast"), ..query }).unwrap();
    let expected = [line(Unit::InputTokens, 1_000, 30_000_000), line(Unit::WebSearches, 2, 20_000_000)];
    assert_eq!(fast.lines.as_deref(), Some(&expected[..]));
}

#[test]
fn lines_of_negotiated_rates_add_up() {
    let rates = Rates::per_million(Money::from_nano_usd(1_333_333), Money::from_nano_usd(777_777))
        .cache(Money::from_nano_usd(333_333), Money::from_nano_usd(1_666_666));
    let book = OverlayPrices::over(price_fn(|_| None)).with("openai", "gpt-4o", rates);
    for count in 1..200 {
        let usage = Usage::tokens(count * 7, count)
            .with(Unit::CacheReadTokens, count * 3)
            .with(Unit::CacheWriteTokens, count * 2);
        let cost = book.price(&PriceQuery::new(Some("openai"), "gpt-4o", &usage)).unwrap();
        assert!(add_up(cost.lines.as_deref().unwrap(), cost.total), "{cost:?}");
        assert!(cost.cache_savings.is_some());
    }
}

/// Every fifth model, with price tiers, and at different times of the day.
#[test]
fn lines_of_the_catalog_add_up() {
    let day = humantime::parse_rfc3339("2026-06-01T00:00:00Z").unwrap();
    let models = genai_prices::Calculator::bundled()
        .providers()
        .flat_map(|provider| provider.models().map(move |model| (provider.id(), model.id())));
    let usages = [
        Usage::tokens(1, 1),
        Usage::tokens(2_007, 301).with(Unit::CacheReadTokens, 1_921).with(Unit::InputTextTokens, 2_007),
        Usage::tokens(250_003, 17).with(Unit::CacheReadTokens, 99_999).with(Unit::CacheWriteTokens, 7),
        Usage::tokens(31_999, 777).with(Unit::ReasoningTokens, 700).with(Unit::WebSearches, 3),
        Usage::tokens(5_001, 3).with(Unit::InputAudioTokens, 1_001),
    ];
    let (mut priced, mut split) = (0, 0);
    for (at, (provider, model)) in models.enumerate().filter(|(at, _)| at % 5 == 0) {
        let usage = &usages[at / 5 % usages.len()];
        let time = day + Duration::from_secs(at as u64 % 96 * 900 + 450);
        let query = PriceQuery { time, ..PriceQuery::new(Some(provider), model, usage) };
        let catalog = CatalogPrices::bundled();
        for cost in [(); 3].into_iter().filter_map(|()| catalog.price(&query)) {
            priced += 1;
            let Some(lines) = &cost.lines else { continue };
            split += 1;
            assert!(add_up(lines, cost.total), "{provider} {model}: {cost:?}");
            let tokens = |is_output: bool| -> u64 {
                let is_counted = |line: &&CostLine| {
                    let unit = line.unit;
                    let is_of_output = matches!(unit, Unit::OutputTokens | Unit::ReasoningTokens);
                    unit != Unit::WebSearches && is_of_output == is_output
                };
                lines.iter().filter(is_counted).map(|line| line.quantity).sum()
            };
            assert_eq!((tokens(false), tokens(true)), (usage.input_tokens().unwrap(), usage.output_tokens().unwrap()));
        }
    }
    assert!(priced > 300 && split * 100 >= priced * 95, "{split} of {priced} calls have lines");
}
