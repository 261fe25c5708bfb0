use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::sync::lock;

use super::{
    price_line::{PriceLine, TokenCounts},
    price_query::PriceQuery,
};

/// Maximum number of cached lines. Clients choose the models.
const MAX_LINES: usize = 1024;
/// Longest key of a cached line, in bytes.
const MAX_KEY_BYTES: usize = 256;
/// The time for which a line holds, in seconds. Some prices depend on the time of day, and change at whole half hours.
const SLOT_SECONDS: u64 = 15 * 60;

/// A bounded cache of price lines by provider, model, service tier, units, and time.
#[derive(Default)]
pub(super) struct PriceLines {
    lines: Mutex<HashMap<Box<[u8]>, Entry>>,
}

#[derive(Clone)]
enum Entry {
    /// The first call. Deriving a line for a name that is never used again would be a waste.
    SeenOnce,
    Line(Arc<PriceLine>),
    /// The prices are not linear.
    NoLine,
}

impl PriceLines {
    /// Returns the line for a call, which `derive` computes on the second call. `None` if there is none.
    pub(super) fn get(
        &self,
        query: &PriceQuery<'_>,
        tokens: TokenCounts,
        derive: impl FnOnce() -> Option<PriceLine>,
    ) -> Option<Arc<PriceLine>> {
        let key = key(query, tokens)?;
        let known = lock(&self.lines).get(&*key).cloned();
        let entry = match known {
            Some(Entry::Line(line)) => return Some(line),
            Some(Entry::NoLine) => return None,
            Some(Entry::SeenOnce) => derive().map_or(Entry::NoLine, |line| Entry::Line(Arc::new(line))),
            None => Entry::SeenOnce,
        };
        let mut lines = lock(&self.lines);
        if lines.len() >= MAX_LINES {
            lines.clear();
        }
        lines.insert(key.into(), entry.clone());
        match entry {
            Entry::Line(line) => Some(line),
            Entry::SeenOnce | Entry::NoLine => None,
        }
    }
}

/// Returns everything that a line depends on. `None` if that is too long to be cached.
fn key(query: &PriceQuery<'_>, tokens: TokenCounts) -> Option<Vec<u8>> {
    // Not a byte of UTF-8.
    const SEPARATOR: u8 = 0xff;
    let texts = [query.provider.unwrap_or_default(), query.model, query.service_tier.unwrap_or_default()];
    let mut key = Vec::with_capacity(128);
    for text in texts {
        key.extend_from_slice(text.as_bytes());
        key.push(SEPARATOR);
    }
    key.push(u8::from(query.provider.is_some()) | u8::from(query.service_tier.is_some()) << 1);
    key.push(tokens.present());
    key.extend_from_slice(&slot(query.time)?.to_le_bytes());
    (key.len() <= MAX_KEY_BYTES).then_some(key)
}

fn slot(time: SystemTime) -> Option<u64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs() / SLOT_SECONDS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::CatalogPrices, MAX_LINES, PriceLines, PriceQuery, SystemTime, TokenCounts, UNIX_EPOCH};
    use crate::usage::{Unit, Usage, price::PriceBook};

    /// Returns how many of the queries would derive a line.
    fn derived(lines: &PriceLines, queries: &[PriceQuery<'_>]) -> usize {
        let mut count = 0;
        for query in queries {
            let tokens = TokenCounts::of(query.usage).unwrap();
            lines.get(query, tokens, || {
                count += 1;
                None
            });
        }
        count
    }

    #[test]
    fn derives_a_line_once_for_everything_it_depends_on() {
        let (usage, cached) = (Usage::tokens(1, 1), Usage::tokens(1, 1).with(Unit::CacheReadTokens, 1));
        let time = UNIX_EPOCH + Duration::from_secs(900);
        let query = PriceQuery { time, ..PriceQuery::new(Some("openai"), "gpt-4o", &usage) };
        let others = [
            PriceQuery { provider: Some("azure"), ..query },
            PriceQuery { provider: None, ..query },
            PriceQuery { model: "gpt-4", ..query },
            PriceQuery { service_tier: Some("flex"), ..query },
            PriceQuery { service_tier: Some(""), ..query },
            PriceQuery { usage: &cached, ..query },
            PriceQuery { time: time - Duration::from_secs(1), ..query },
            PriceQuery { time: time + Duration::from_secs(900), ..query },
        ];
        let lines = PriceLines::default();
        assert_eq!(derived(&lines, &[query; 1]), 0);
        assert_eq!(derived(&lines, &others), 0, "each has a separate line");
        assert_eq!(derived(&lines, &[query; 3]), 1);
        assert_eq!(derived(&lines, &[PriceQuery { time: time + Duration::from_secs(899), ..query }; 3]), 0);
        assert_eq!(derived(&lines, &others), others.len());
    }

    #[test]
    fn the_number_of_lines_is_bounded() {
        let lines = PriceLines::default();
        let usage = Usage::tokens(1, 1);
        let long = "m".repeat(1_000);
        derived(&lines, &[PriceQuery::new(None, &long, &usage)]);
        assert_eq!(lines.lines.lock().unwrap().len(), 0);
        for model in 0..=MAX_LINES {
            derived(&lines, &[PriceQuery::new(None, &model.to_string(), &usage)]);
        }
        assert_eq!(lines.lines.lock().unwrap().len(), 1);
    }

    /// A price that depends on the time of day, and models with price tiers, included.
    #[test]
    fn lines_agree_with_the_catalog() {
        let day = humantime::parse_rfc3339("2026-06-01T00:00:00Z").unwrap();
        let models = genai_prices::Calculator::bundled()
            .providers()
            .flat_map(|provider| provider.models().map(move |model| (provider.id(), model.id())));
        let usages = [
            Usage::tokens(1, 1),
            Usage::tokens(2_006, 300).with(Unit::CacheReadTokens, 1_920),
            Usage::tokens(250_003, 17).with(Unit::CacheReadTokens, 99_999).with(Unit::CacheWriteTokens, 7),
            Usage::tokens(31_999, 777).with(Unit::ReasoningTokens, 700),
            Usage::tokens(5, 0),
        ];
        let (mut compared, mut lines) = (0, 0);
        for (at, (provider, model)) in models.enumerate().filter(|(at, _)| at % 5 == 0) {
            let usage = &usages[at % usages.len()];
            let time: SystemTime = day + Duration::from_secs(at as u64 % 96 * 900 + 450);
            let query = PriceQuery { time, ..PriceQuery::new(Some(provider), model, usage) };
            // The first call is priced by the catalog, and the third by the line if there is one.
            let catalog = CatalogPrices::bundled();
            let [first, _, third] = [(); 3].map(|()| catalog.price(&query));
            let nanos = |cost: &crate::usage::Cost| {
                [Some(cost.total), cost.input, cost.output].map(|part| part.map(crate::usage::Money::nano_usd))
            };
            assert_eq!(first.as_ref().map(nanos), third.as_ref().map(nanos), "{provider} {model}");
            compared += usize::from(first.is_some());
            lines += usize::from(catalog.has_line(&query));
        }
        assert!(compared > 100 && lines * 2 > compared, "{lines} lines for {compared} models");
    }
}
