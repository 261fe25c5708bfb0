//! Random requests and queries. Every store must answer as the memory store does.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use tower_tagging::{
    Event, Metadata,
    analytics::{
        Analytics, Answer, Bucket, Cell, Dimension, Field, Filter, Grant, Measure, Number, Order, Query, Retention,
        RowQuery, TimeRange, jiff,
    },
    event::Outcome,
    metadata::Scope,
    sink::BatchWriter,
    store::{Feedback, MemoryStore},
    usage::{Cost, LlmCall, Money, Operation, Unit, Usage},
};
use uuid::Uuid;

/// A pseudorandom sequence (xorshift64*), the same for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % end
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()].clone()
    }
}

/// The keys of tags that random requests have. Some are hard to quote.
pub(crate) const KEYS: [&str; 7] = ["team", "tenant_id", "feature", "_user", "it's \"odd\"", "$.a[0]", "späß"];
const VALUES: [&str; 7] = ["", "search", "a'b", "=x", "%_", "Zoë", "null"];

/// The first day of the requests, shortly before the clocks of Europe change.
pub(crate) const START: u64 = 1_774_569_600;
/// The number of days.
pub(crate) const DAYS: u64 = 150;
const DAY: u64 = 86_400;

pub(crate) fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn random_time(random: &mut Random) -> SystemTime {
    let day = if random.chance(50) { 40 + random.below(3) } else { random.below(DAYS) };
    let micros = match random.below(4) {
        0 => random.below(96) * 900_000_000,
        1 => random.below(96) * 900_000_000 + 899_999_999,
        _ => random.below(DAY * 1_000_000),
    };
    time(START + day * DAY) + Duration::from_micros(micros)
}

pub(crate) fn random_event(random: &mut Random) -> Event {
    let mut tags = Metadata::new();
    for key in KEYS {
        if random.chance(60) {
            tags.insert(key, random.pick(&VALUES));
        }
    }
    let outcome = random.pick(&[Outcome::Completed, Outcome::Completed, Outcome::Cancelled, Outcome::Failed]);
    let mut event = Event::builder()
        .time(random_time(random))
        .duration(Duration::from_millis(random.below(20_000)))
        .outcome(outcome)
        .host(random.pick(&["api.example", "other.example"]))
        .tags(Scope::Request, tags);
    if random.chance(80) {
        event = event.status(random.pick(&[StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::BAD_GATEWAY]));
    }
    if random.chance(60) {
        event = event.workspace(random.pick(&["acme", "globex"])).api_key(random.pick(&["web", "batch"]));
    }
    if random.chance(80) {
        event = event.route(random.pick(&["/chat", "/search/{id}"]));
    }
    if random.chance(70) {
        event = event.llm(random_call(random));
    }
    event.build()
}

fn random_call(random: &mut Random) -> LlmCall {
    let mut call = LlmCall::builder()
        .provider(random.pick(&["openai", "anthropic"]))
        .operation(Operation::Chat)
        .request_model(random.pick(&["gpt-4o", "claude"]));
    if random.chance(70) {
        call = call.response_model(random.pick(&["gpt-4o-2024", "claude-3", "small"]));
    }
    if random.chance(80) {
        let usage = Usage::tokens(random.below(9_000) + 100, random.below(3_000));
        call = call.usage(usage.with(Unit::CacheReadTokens, random.below(100)));
        if random.chance(70) {
            let (input, output) = (random.below(1 << 33), random.below(1 << 33));
            let money = Money::from_nano_usd;
            call = call.cost(Cost::custom(money(input + output + random.below(9))).parts(money(input), money(output)));
        }
    }
    if random.chance(50) {
        call = call.time_to_first_token(Duration::from_millis(random.below(2_000)));
    }
    call.build()
}

fn random_dimension(random: &mut Random) -> Dimension {
    match random.below(3) {
        0 => random
            .pick(&[
                Field::Provider,
                Field::Model,
                Field::Status,
                Field::StatusClass,
                Field::Outcome,
                Field::ApiKey,
                Field::Workspace,
                Field::CostStatus,
                Field::Route,
                Field::Host,
                Field::IsError,
                Field::RequestModel,
            ])
            .into(),
        _ => Dimension::tag(random.pick(&KEYS)),
    }
}

fn random_value(random: &mut Random, dimension: &Dimension) -> String {
    match dimension {
        Dimension::Tag(_) => random.pick(&VALUES).to_owned(),
        _ => random.pick(&["openai", "gpt-4o-2024", "200", "2xx", "acme", "true", "completed", "/chat"]).to_owned(),
    }
}

pub(crate) fn random_filter(random: &mut Random) -> Filter {
    let dimension = random_dimension(random);
    let mut value = || random_value(random, &dimension);
    let (one, other) = (value(), value());
    match random.below(8) {
        0 | 1 => Filter::is(dimension, one),
        2 => Filter::is_not(dimension, one),
        3 => Filter::In(dimension, vec![one, other]),
        4 => Filter::Has(dimension),
        5 => Filter::HasNot(dimension),
        6 => Filter::Prefix(dimension, one.chars().take(1).collect()),
        _ => Filter::Between(random.pick(Number::ALL), Some(random.below(300)), Some(random.below(1 << 34))),
    }
}

fn random_range(random: &mut Random) -> (TimeRange, Bucket) {
    let zone = random.pick(&["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Los_Angeles"]);
    let (days, bucket) = match random.below(4) {
        0 => (1, random.pick(&[Bucket::Hour, Bucket::QuarterHour])),
        1 => (7, random.pick(&[Bucket::Day, Bucket::Hour])),
        _ => (random.below(DAYS) + 1, random.pick(&[Bucket::Day, Bucket::Week, Bucket::Month, Bucket::Auto])),
    };
    let from = START + random.below(DAYS) * DAY;
    let exact = random.chance(50);
    let offset = |random: &mut Random| if exact { 0 } else { random.below(DAY) };
    let (from, to) = (from + offset(random), from + days * DAY + offset(random) + 1);
    let stamp = |seconds: u64| jiff::Timestamp::from_second(seconds.try_into().unwrap()).unwrap();
    (TimeRange::new(stamp(from), stamp(to.max(from + 1))).unwrap().in_zone(zone).unwrap(), bucket)
}

pub(crate) fn random_query(random: &mut Random) -> Query {
    let (range, bucket) = random_range(random);
    let mut query = Query::new(range).measure(Measure::Cost).measure(Measure::Requests).limit(1_000);
    for _ in 0..random.below(3) {
        query = query.group_by(random_dimension(random));
    }
    for _ in 0..random.below(3).saturating_sub(1) {
        query = query.filter(random_filter(random));
    }
    if random.chance(50) {
        query = query.bucket(bucket);
    }
    for _ in 0..random.below(4) {
        query = query.measure(random.pick(Measure::ALL));
    }
    match random.below(4) {
        0 => query = query.measure(Measure::Distinct(random_dimension(random))),
        1 => query = query.measure(Measure::CostCoverage(random.pick(&KEYS).to_owned())),
        2 => query = query.order(Order::Values),
        _ => {}
    }
    query
}

pub(crate) fn random_grant(random: &mut Random) -> Grant {
    match random.below(4) {
        0 => Grant::only([Filter::is(Field::Workspace, "acme")]),
        1 => Grant::only([Filter::is(Dimension::tag("tenant_id"), random.pick(&VALUES))]),
        _ => Grant::everything(),
    }
}

/// Asserts that two answers are equal, except for what they are based on.
pub(crate) fn assert_equal(query: &Query, expected: &Answer, found: &Answer) {
    assert!(found.basis.is_exact, "{query:#?}\n{:#?}", found.basis);
    assert_eq!(expected.total, found.total, "total: {query:#?}\n{:#?}", found.basis);
    assert_eq!(expected.buckets, found.buckets, "{query:#?}");
    assert_eq!(expected.series, found.series, "series: {query:#?}\n{:#?}", found.basis);
    assert_eq!(expected.group_count, found.group_count, "{query:#?}");
    assert_eq!(expected.groups, found.groups, "groups: {query:#?}\n{:#?}", found.basis);
}

/// Compares a store with the memory store, while requests arrive, keys are activated, and buckets are sealed.
pub(crate) async fn run(seed: u64, store: Analytics, mut writer: impl FnMut() -> Box<dyn BatchWriter>) {
    let random = &mut Random::new(seed);
    let memory_store = MemoryStore::new();
    let memory = Analytics::new(memory_store.clone());
    let whole = TimeRange::parse("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "UTC").unwrap();
    let mut written: Vec<Arc<Event>> = Vec::new();
    let mut traces = BTreeSet::new();
    for _ in 0..12 {
        match random.below(6) {
            0 => {
                let key = random.pick(&KEYS);
                store.activate_key(key).await.unwrap();
                memory.activate_key(key).await.unwrap();
            }
            1 => {
                let key = random.pick(&KEYS);
                store.deactivate_key(key).await.unwrap();
                memory.deactivate_key(key).await.unwrap();
            }
            2 => store.activate_pair(random_dimension(random), random_dimension(random)).await.unwrap(),
            3 => {
                let now = time(START + random.below(DAYS + 100) * DAY + random.below(DAY));
                store.maintain(now, Retention::forever()).await.unwrap();
            }
            4 if !written.is_empty() => {
                let event = random.pick(&written);
                let trace = event.trace().trace_id().to_string();
                traces.insert(trace.clone());
                let mut feedback = Feedback::new(trace, i8::try_from(random.below(21)).unwrap() - 10, event.time());
                feedback.id = Uuid::from_u128(random.below(u64::MAX).into());
                feedback.weight_micros = u32::try_from(random.below(1_000_000)).unwrap();
                feedback.workspace = random.chance(50).then(|| "acme".to_owned());
                store.put_feedback(feedback.clone(), &Grant::everything()).await.unwrap();
                memory.put_feedback(feedback, &Grant::everything()).await.unwrap();
            }
            _ => {}
        }
        let mut batch: Vec<Arc<Event>> = (0..random.below(60)).map(|_| Arc::new(random_event(random))).collect();
        // A batch that is delivered twice, such as after the process was killed before it learned of the commit.
        for _ in 0..random.below(20) {
            if !written.is_empty() {
                batch.push(random.pick(&written));
            }
        }
        written.extend(batch.iter().cloned());
        memory_store.writer().write(&batch).unwrap();
        let writer = writer();
        tokio::task::block_in_place(|| {
            let mut writer = writer;
            writer.write(&batch).unwrap();
        });
        for _ in 0..4 {
            let (query, grant) = (random_query(random), random_grant(random));
            let expected = memory.run(&query, &grant).await.unwrap();
            let found = store.run(&query, &grant).await.unwrap();
            assert_equal(&query, &expected, &found);
            store.explain(&query, &grant).await.unwrap();
        }
        if random.chance(25) {
            assert_eq!(store.verify(&whole).await.unwrap(), Vec::<String>::new());
        }
    }
    pages_are_equal(random, &memory, &store).await;
    assert_eq!(store.verify(&whole).await.unwrap(), Vec::<String>::new());
    store.rebuild(&whole).await.unwrap();
    assert_eq!(store.verify(&whole).await.unwrap(), Vec::<String>::new());
}

async fn pages_are_equal(random: &mut Random, memory: &Analytics, store: &Analytics) {
    for _ in 0..6 {
        let (range, _) = random_range(random);
        let mut query = RowQuery::new(range).filter(random_filter(random)).limit(7);
        query.is_oldest_first = random.chance(50);
        let grant = random_grant(random);
        loop {
            let expected = memory.rows(&query, &grant).await.unwrap();
            let found = store.rows(&query, &grant).await.unwrap();
            assert_eq!(expected.next, found.next, "{query:#?}");
            let ids = |rows: &[tower_tagging::store::EventRow]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
            assert_eq!(ids(&expected.rows), ids(&found.rows), "{query:#?}");
            let Some(next) = found.next else { break };
            query.cursor = Some(next);
        }
    }
}

/// Returns the exact sums of a cell, without distributions.
#[allow(dead_code, reason = "used by some tests")]
pub(crate) fn cost(cell: &Cell) -> u64 {
    cell.totals.cost_nanos
}
