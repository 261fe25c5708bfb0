//! Checks of analytics over a database, which the tests of each store call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tower_tagging::{
    Event, Metadata,
    analytics::{
        Analytics, Answer, Bucket, Dimension, Filter, Grant, Measure, Query, QueryError, Retention, TimeRange,
    },
    metadata::Scope,
    sink::BatchWriter,
    store::StoreError,
    usage::{Cost, LlmCall, Money, Usage},
};

use crate::analytics_suite::{Random, START, time};

const DAY: u64 = 86_400;

/// An event of a team with a cost of one nano-dollar per second of the day.
fn event(seconds: u64, team: Option<&str>) -> Arc<Event> {
    let mut tags = Metadata::new();
    if let Some(team) = team {
        tags.insert("team", team);
        tags.insert("shop", team);
    }
    let cost = Cost::custom(Money::from_nano_usd(seconds % DAY + 1));
    let call = LlmCall::builder().provider("openai").response_model("gpt-4o").usage(Usage::tokens(10, 5)).cost(cost);
    let event = Event::builder().time(time(seconds)).workspace("acme").tags(Scope::Request, tags).llm(call.build());
    Arc::new(event.build())
}

fn whole() -> TimeRange {
    TimeRange::parse("2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "UTC").unwrap()
}

fn by(key: &str, range: TimeRange) -> Query {
    Query::new(range).group_by(Dimension::tag(key)).measure(Measure::Cost).measure(Measure::Requests).limit(1_000)
}

/// Returns requests and cost of all groups, and asserts that they are the total.
fn reconciled(answer: &Answer) -> (u64, u64) {
    let mut sum = (0, 0);
    for group in &answer.groups {
        sum.0 += group.cell.totals.requests;
        sum.1 += group.cell.totals.cost_nanos;
    }
    assert_eq!(sum, (answer.total.totals.requests, answer.total.totals.cost_nanos), "{answer:#?}");
    sum
}

/// Days have 23, 24, or 25 hours, wherever the clocks change.
pub(crate) async fn days_are_correct_in_each_zone(store: &Analytics, writer: &mut dyn BatchWriter) {
    // One request at the start of each quarter hour, over the clock changes of 2026 in Europe and in the USA.
    let quarters =
        |from: u64, days: u64| (0..days * 96).map(move |quarter| event(from + quarter * 900, Some("search")));
    let (march, october) = (1_772_323_200, 1_792_454_400);
    let events: Vec<Arc<Event>> = quarters(march, 40).chain(quarters(october, 20)).collect();
    events.chunks(2_000).for_each(|batch| writer.write(batch).unwrap());
    store.maintain(time(october + 30 * DAY), Retention::forever()).await.unwrap();
    for (zone, short_day, long_day, offset) in [
        ("UTC", None, None, "T00:00:00Z"),
        ("Europe/Berlin", Some("2026-03-28T23:00:00Z"), Some("2026-10-24T22:00:00Z"), ""),
        ("America/Los_Angeles", Some("2026-03-08T08:00:00Z"), Some("2026-11-01T07:00:00Z"), ""),
        ("Asia/Kathmandu", None, None, "T18:15:00Z"),
    ] {
        for (from, to) in [("2026-03-03", "2026-04-05"), ("2026-10-22", "2026-11-08")] {
            let midnight = |day: &str| {
                let day: jiff::civil::Date = day.parse().unwrap();
                let zone = jiff::tz::TimeZone::get(zone).unwrap();
                zone.to_timestamp(day.at(0, 0, 0, 0)).unwrap()
            };
            let range = TimeRange::new(midnight(from), midnight(to)).unwrap().in_zone(zone).unwrap();
            let answer = store.run(&by("team", range).bucket(Bucket::Day), &Grant::everything()).await.unwrap();
            assert!(answer.basis.is_exact, "{:?}", answer.basis);
            assert_eq!(answer.groups.len(), 1);
            assert_eq!(answer.groups[0].series, answer.series);
            for (start, day) in answer.buckets.iter().zip(&answer.series) {
                let start = start.to_string();
                assert!(start.ends_with(offset), "{zone}: {start}");
                let expected = match Some(start.as_str()) {
                    day if day == short_day => 92,
                    day if day == long_day => 100,
                    _ => 96,
                };
                assert_eq!(day.totals.requests, expected, "{zone}: {start}");
            }
            reconciled(&answer);
        }
    }
}

/// Sums outlive rows, and answers report what they no longer cover.
pub(crate) async fn totals_agree_after_rows_are_deleted(store: &Analytics, writer: &mut dyn BatchWriter) {
    let mut random = Random::new(7);
    let teams = [Some("search"), Some("ads"), None];
    let events: Vec<Arc<Event>> =
        (0..4_000).map(|_| event(START + random.below(200 * DAY), random.pick(&teams))).collect();
    events.chunks(500).for_each(|batch| writer.write(batch).unwrap());
    let all = reconciled(&store.run(&by("team", whole()), &Grant::everything()).await.unwrap());
    assert_eq!(all.0, 4_000);
    let now = time(START + 210 * DAY);
    let retention = Retention::forever()
        .rows(Duration::from_secs(40 * DAY))
        .hours(Duration::from_secs(90 * DAY))
        .days(Duration::from_secs(150 * DAY));
    for _ in 0..2 {
        store.maintain(now, retention).await.unwrap();
        let answer = store.run(&by("team", whole()), &Grant::everything()).await.unwrap();
        assert_eq!(reconciled(&answer), all);
        let monthly = store.run(&by("team", whole()).bucket(Bucket::Month), &Grant::everything()).await.unwrap();
        assert_eq!(reconciled(&monthly), all, "{:?}", monthly.basis);
        let series: u64 = monthly.series.iter().map(|month| month.totals.cost_nanos).sum();
        assert_eq!(series, all.1);
    }

    // A range whose quarter hours were deleted is cut at what is left, for the total and the groups alike.
    let range = TimeRange::parse("2026-04-03T05:07:00Z", "2026-10-01T00:00:00Z", "Europe/Berlin").unwrap();
    let answer = store.run(&by("team", range), &Grant::everything()).await.unwrap();
    assert!(!answer.basis.is_exact && !answer.basis.notes.is_empty(), "{:?}", answer.basis);
    reconciled(&answer);

    // A key without sums is answered from the rows that are left.
    let answer = store.run(&by("shop", whole()), &Grant::everything()).await.unwrap();
    assert!(!answer.basis.is_exact && answer.total.totals.requests < 4_000, "{:?}", answer.basis);
    let left = reconciled(&answer);
    store.activate_key("shop").await.unwrap();
    let answer = store.run(&by("shop", whole()), &Grant::everything()).await.unwrap();
    assert!(!answer.basis.is_exact, "{:?}", answer.basis);
    let built = reconciled(&answer);
    assert!(built.0 <= left.0 && built.0 + 20 > left.0, "{built:?} {left:?}");

    let deleted = store.verify(&whole()).await.unwrap_err();
    assert!(matches!(deleted, QueryError::Store(StoreError::RowsDeleted)), "{deleted}");
    let deleted = store.rebuild(&whole()).await.unwrap_err();
    assert!(matches!(deleted, QueryError::Store(StoreError::RowsDeleted)), "{deleted}");
    let recent = TimeRange::parse("2026-09-15T00:00:00Z", "2026-12-01T00:00:00Z", "UTC").unwrap();
    assert_eq!(store.verify(&recent).await.unwrap(), Vec::<String>::new());
}

/// The total is the sum of the groups in each answer, while requests arrive, keys are switched, and buckets are sealed.
pub(crate) async fn totals_agree_while_keys_are_activated(
    store: &Analytics,
    writers: Vec<Box<dyn BatchWriter>>,
    batches: usize,
) {
    let is_done = Arc::new(AtomicBool::new(false));
    let count = writers.len();
    let threads: Vec<_> = (0..)
        .zip(writers)
        .map(|(seed, mut writer)| {
            std::thread::spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..batches {
                    let teams = [Some("search"), Some("ads"), Some(""), None];
                    let batch: Vec<_> =
                        (0..50).map(|_| event(START + random.below(90 * DAY), random.pick(&teams))).collect();
                    while let Err(error) = writer.write(&batch) {
                        assert_eq!(error.kind(), tower_tagging::sink::WriteErrorKind::Retryable, "{error}");
                    }
                }
            })
        })
        .collect();
    let (upkeep, should_stop) = (store.clone(), Arc::clone(&is_done));
    let upkeep = tokio::spawn(async move {
        let mut day = 0;
        while !should_stop.load(Ordering::Relaxed) {
            upkeep.activate_key("shop").await.unwrap();
            upkeep.maintain(time(START + day * DAY), Retention::forever()).await.unwrap();
            upkeep.deactivate_key("shop").await.unwrap();
            day = (day + 13) % 100;
        }
    });
    let mut seen = 0;
    loop {
        let is_last = threads.iter().all(std::thread::JoinHandle::is_finished);
        for key in ["team", "shop"] {
            let answer = store.run(&by(key, whole()), &Grant::everything()).await.unwrap();
            let (requests, _) = reconciled(&answer);
            assert!(answer.basis.is_exact, "{:?}", answer.basis);
            assert!(requests >= seen, "{key}: {requests} after {seen}: {:?}", answer.basis);
            seen = requests;
        }
        if is_last {
            break;
        }
    }
    is_done.store(true, Ordering::Relaxed);
    upkeep.await.unwrap();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(seen, (count * batches * 50) as u64);
    assert_eq!(store.verify(&whole()).await.unwrap(), Vec::<String>::new());
}

/// Texts that would change a statement if they were part of it.
pub(crate) async fn hostile_keys_and_values_are_only_values(store: &Analytics, writer: &mut dyn BatchWriter) {
    let hostile = [
        "'; DROP TABLE tagging_events; --",
        "\" OR 1=1 --",
        "') OR ('1'='1",
        "\\'; SELECT pg_sleep(9); --",
        "{\"$ne\": 1}",
        "$.*",
        "a\0b",
        "%",
        "\u{202e}",
    ];
    for text in hostile {
        let mut tags = Metadata::new();
        tags.insert(text, text);
        writer.write(&[Arc::new(Event::builder().time(time(START)).tags(Scope::Request, tags).build())]).unwrap();
    }
    let count = hostile.len() as u64;
    for is_active in [false, true] {
        for text in hostile {
            if is_active {
                store.activate_key(text).await.unwrap();
            }
            let dimension = Dimension::tag(text);
            let filters = [
                (Filter::is(dimension.clone(), text), 1),
                (Filter::is_not(dimension.clone(), text), count - 1),
                (Filter::In(dimension.clone(), vec![text.to_owned(), "x".to_owned()]), 1),
                (Filter::Prefix(dimension.clone(), text.to_owned()), 1),
                (Filter::Has(dimension.clone()), 1),
                (Filter::HasNot(dimension.clone()), count - 1),
                (Filter::Trace(vec![text.to_owned()]), 0),
                (Filter::ProviderModel(vec![(text.to_owned(), text.to_owned())]), 0),
                (Filter::is(tower_tagging::store::Field::Model, text), 0),
            ];
            for (filter, expected) in filters {
                let query = by(text, whole()).filter(filter.clone()).measure(Measure::Distinct(dimension.clone()));
                let answer = store.run(&query, &Grant::everything()).await.unwrap();
                assert_eq!(answer.total.totals.requests, expected, "{filter:?} {is_active}");
                let rows = tower_tagging::analytics::RowQuery::new(whole()).filter(filter.clone());
                let rows = store.rows(&rows, &Grant::everything()).await.unwrap();
                assert_eq!(rows.rows.len() as u64, expected, "{filter:?} {is_active}");
            }
        }
    }
    assert_eq!(store.verify(&whole()).await.unwrap(), Vec::<String>::new());
}

/// No request is lost because of the length of a value or the size of a cost.
pub(crate) async fn extreme_values_are_stored_and_summed(store: &Analytics, writer: &mut dyn BatchWriter) {
    let mut random = Random::new(3);
    // Random, so that a database cannot compress it.
    let long: String = (0..6_000).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap())).collect();
    let mut tags = Metadata::new();
    tags.insert("team", &long);
    let event = |nanos: u64| {
        let cost = Cost::custom(Money::from_nano_usd(nanos));
        let call = LlmCall::builder().provider("p").usage(Usage::tokens(u64::MAX, u64::MAX)).cost(cost);
        Event::builder().time(time(START)).llm(call.build())
    };
    let with_long = event(1).host(long.clone()).route(long.clone()).tags(Scope::Request, tags.clone()).build();
    writer.write(&[Arc::new(with_long)]).unwrap();
    for _ in 0..10 {
        writer.write(&(0..1_000).map(|_| Arc::new(event(u64::MAX / 4).build())).collect::<Vec<_>>()).unwrap();
    }
    // Each sum stays at its limit, so the groups of such costs need not add up to the total.
    let answer = store.run(&by("team", whole()), &Grant::everything()).await.unwrap();
    let groups: u64 = answer.groups.iter().map(|group| group.cell.totals.requests).sum();
    assert_eq!((answer.total.totals.requests, groups), (10_001, 10_001));
    for filter in [Filter::is(Dimension::tag("team"), &*long), Filter::is(tower_tagging::store::Field::Host, &*long)] {
        let answer = store.run(&by("team", whole()).filter(filter), &Grant::everything()).await.unwrap();
        assert_eq!((answer.total.totals.requests, answer.group_count), (1, 1));
        let value = answer.groups[0].values[0].clone().unwrap();
        assert!(value.len() <= 512 && value.starts_with(&long[..400]), "{value}");
    }
    let tokens = Filter::Between(tower_tagging::store::Number::TotalTokens, Some(1), None);
    let answer = store.run(&by("team", whole()).filter(tokens), &Grant::everything()).await.unwrap();
    assert_eq!(answer.total.totals.requests, 10_001);
}

/// Clocks may be wrong by centuries. Each part of the work jumps over times without requests.
pub(crate) async fn requests_of_distant_times_are_summed(store: &Analytics, writer: &mut dyn BatchWriter) {
    let seconds = |text: &str| humantime::parse_rfc3339(text).unwrap().duration_since(time(0)).unwrap().as_secs();
    let times = [0, START, START + 40 * DAY, seconds("2500-01-01T00:00:00Z"), seconds("9999-12-31T23:59:59Z")];
    let events: Vec<_> = times.iter().map(|seconds| event(*seconds, Some("search"))).collect();
    writer.write(&events).unwrap();
    store.activate_key("shop").await.unwrap();
    let all = TimeRange::parse("1970-01-01T00:00:00Z", "9999-12-30T22:00:00Z", "UTC").unwrap();
    for _ in 0..2 {
        for key in ["team", "shop"] {
            let answer = store.run(&by(key, all.clone()), &Grant::everything()).await.unwrap();
            assert!(answer.basis.is_exact, "{:?}", answer.basis);
            assert_eq!(reconciled(&answer).0, 4, "no range covers the last day of 9999");
            let answer = store.run(&by(key, whole()).bucket(Bucket::Day), &Grant::everything()).await.unwrap();
            assert_eq!(reconciled(&answer).0, 2);
        }
        assert_eq!(store.verify(&all).await.unwrap(), Vec::<String>::new());
        store.maintain(time(START + 200 * DAY), Retention::forever()).await.unwrap();
        store.rebuild(&all).await.unwrap();
    }
}
