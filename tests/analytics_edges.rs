//! Cases of analytics that random requests do not reach: limits, retention, and extreme values.

mod common;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use common::TempFolder;
use tower_tagging::{
    Event, Metadata,
    analytics::{Analytics, Bucket, Dimension, Filter, Grant, Measure, Query, Retention, TimeRange, jiff::Timestamp},
    metadata::Scope,
    sink::BatchWriter,
    store::SqliteStore,
    usage::{Cost, LlmCall, Money, Usage},
};

/// 2026-03-27.
const START: u64 = 1_774_569_600;
const DAY: u64 = 86_400;

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn open(name: &str) -> (TempFolder, SqliteStore) {
    let folder = TempFolder::new(&format!("analytics-edges-{name}"));
    let store = SqliteStore::open(folder.file("events.db")).unwrap();
    store.migrate().unwrap();
    (folder, store)
}

fn event(seconds: u64, tags: &[(&str, &str)], nanos: u64, host: &str) -> Arc<Event> {
    let mut map = Metadata::new();
    tags.iter().for_each(|(key, value)| map.insert(key, value));
    let call = LlmCall::builder().provider("openai").response_model("gpt-4o").usage(Usage::tokens(10, 5));
    let call = call.cost(Cost::custom(Money::from_nano_usd(nanos))).build();
    let event = Event::builder().time(time(seconds)).workspace("acme").host(host).tags(Scope::Request, map);
    Arc::new(event.llm(call).build())
}

fn whole() -> TimeRange {
    TimeRange::parse("2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "UTC").unwrap()
}

fn by(key: &str, range: TimeRange) -> Query {
    Query::new(range).group_by(Dimension::tag(key)).measure(Measure::Requests).limit(1_000)
}

/// Requests of the total and of all groups.
async fn sums(store: &Analytics, query: &Query, grant: &Grant) -> (u64, u64) {
    let answer = store.run(query, grant).await.unwrap();
    assert!(answer.basis.is_exact);
    (answer.total.totals.requests, answer.groups.iter().map(|group| group.cell.totals.requests).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_the_total_when_rows_at_the_edges_exceed_the_limit() {
    let (_folder, store) = open("edges");
    let batch: Vec<_> = (0..50).map(|n| event(START + 1200 + n * 30, &[("team", "a")], 1, "h")).collect();
    store.writer().write(&batch).unwrap();
    let store = Analytics::new(store).row_limits(10, Duration::from_secs(5));
    let at = |seconds: u64| Timestamp::from_second(seconds.try_into().unwrap()).unwrap();
    let range = TimeRange::new(at(START + 300), at(START + 4 * 3600)).unwrap();
    let answer = store.run(&by("team", range), &Grant::everything()).await.unwrap();
    assert!(!answer.basis.is_exact && answer.basis.notes.len() == 1, "{:?}", answer.basis);
    assert_eq!((answer.total.totals.requests, answer.groups[0].cell.totals.requests), (50, 50));
}

/// Sums of days have no hours, so the answer covers the hours for which the rows can be read.
#[tokio::test(flavor = "multi_thread")]
async fn buckets_that_are_finer_than_the_sums_are_read_from_rows() {
    let (_folder, store) = open("finer");
    let batch: Vec<_> = (0..1_200).map(|n| event(START + n * 100, &[("team", &format!("t{n}"))], 1, "h")).collect();
    store.writer().write(&batch).unwrap();
    let store = Analytics::new(store).row_limits(100, Duration::from_secs(5));
    store.maintain(time(START + DAY + 7_200), Retention::forever()).await.unwrap();
    let at = |seconds: u64| Timestamp::from_second(seconds.try_into().unwrap()).unwrap();
    let range = TimeRange::new(at(START), at(START + 3 * DAY)).unwrap();
    let query = by("team", range).bucket(Bucket::Hour);
    let answer = store.run(&query, &Grant::everything()).await.unwrap();
    assert!(!answer.basis.is_exact, "{:?}", answer.basis);
    let groups: u64 = answer.groups.iter().map(|group| group.cell.totals.requests).sum();
    let series: u64 = answer.series.iter().map(|hour| hour.totals.requests).sum();
    assert_eq!((groups, series), (answer.total.totals.requests, groups));
    assert!((50..=100).contains(&groups), "{groups}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuild_keeps_sums_whose_hours_were_deleted() {
    let (_folder, store) = open("rebuild");
    let batch: Vec<_> = (0..200).map(|n| event(START + n * DAY + 3600, &[("team", "a")], 1, "h")).collect();
    store.writer().write(&batch).unwrap();
    let store = Analytics::new(store);
    let retention = Retention::forever().hours(Duration::from_secs(60 * DAY));
    store.maintain(time(START + 210 * DAY), retention).await.unwrap();
    assert_eq!(sums(&store, &by("team", whole()), &Grant::everything()).await, (200, 200));
    store.rebuild(&whole()).await.unwrap();
    assert_eq!(sums(&store, &by("team", whole()), &Grant::everything()).await, (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_the_same_dimension_answers_no_other_query() {
    let (_folder, store) = open("pair");
    let tenant = |n: u64| if n.is_multiple_of(2) { "acme" } else { "globex" };
    let feature = |n: u64| if n < 5 { "acme" } else { "x" };
    let one = |n: u64| event(START + n * 3600, &[("tenant_id", tenant(n)), ("feature", feature(n))], 1, "h");
    store.writer().write(&(0..20).map(one).collect::<Vec<_>>()).unwrap();
    let store = Analytics::new(store);
    store.activate_pair(Dimension::tag("feature"), Dimension::tag("feature")).await.unwrap();
    let grant = Grant::only([Filter::is(Dimension::tag("tenant_id"), "acme")]);
    // Two of the five requests that are found belong to globex.
    assert_eq!(sums(&store, &by("feature", whole()), &grant).await, (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_is_exact_after_hours_become_days() {
    let (_folder, store) = open("widen");
    let mut writer = store.writer();
    writer.write(&[event(START, &[("team", "a")], 1, "h")]).unwrap();
    let batch: Vec<_> = (0..600).map(|n| event(START + DAY + n, &[("team", &format!("t{n}"))], 1, "h")).collect();
    writer.write(&batch).unwrap();
    let store = Analytics::new(store);
    store.maintain(time(START + DAY + 7200), Retention::forever()).await.unwrap();
    assert_eq!(store.verify(&whole()).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_activated_despite_a_request_at_the_end_of_time() {
    let (_folder, store) = open("9999");
    store.writer().write(&[event(253_402_300_799, &[("shop", "a")], 1, "h")]).unwrap();
    Analytics::new(store).activate_key("shop").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_the_largest_costs_can_be_read() {
    let (_folder, store) = open("overflow");
    let batch: Vec<_> = (0..10_000).map(|_| event(START, &[("team", "a")], u64::MAX / 4, "h")).collect();
    batch.chunks(1_000).for_each(|batch| store.writer().write(batch).unwrap());
    assert_eq!(sums(&Analytics::new(store), &by("team", whole()), &Grant::everything()).await, (10_000, 10_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_request_does_not_hide_the_sums_of_deleted_rows() {
    let (_folder, store) = open("late");
    let batch: Vec<_> = (100..110).map(|n| event(START + n * DAY, &[("team", "a")], 1, "h")).collect();
    store.writer().write(&batch).unwrap();
    let analytics = Analytics::new(store.clone());
    let retention = Retention::forever().rows(Duration::from_secs(30 * DAY));
    analytics.maintain(time(START + 200 * DAY), retention).await.unwrap();
    store.writer().write(&[event(START, &[("team", "a")], 1, "h")]).unwrap();
    assert_eq!(sums(&analytics, &by("team", whole()), &Grant::everything()).await, (11, 11));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retention_that_deletes_nothing_leaves_answers_exact() {
    let (_folder, store) = open("nothing-deleted");
    store.writer().write(&[event(START, &[("shop", "a")], 1, "h")]).unwrap();
    let store = Analytics::new(store);
    let retention = Retention::forever().rows(Duration::from_secs(90 * DAY));
    store.maintain(time(START + 80 * DAY), retention).await.unwrap();
    assert_eq!(sums(&store, &by("shop", whole()), &Grant::everything()).await, (1, 1));
}

/// Only the days whose rows were deleted move to full hours in UTC.
#[tokio::test(flavor = "multi_thread")]
async fn days_with_rows_stay_exact_in_zones_with_half_hours() {
    let (_folder, store) = open("half-hours");
    let batch: Vec<_> = (0..40 * 48).map(|n| event(START + n * 1_800, &[("team", "a")], 1, "h")).collect();
    store.writer().write(&batch).unwrap();
    let store = Analytics::new(store);
    let retention = Retention::forever().rows(Duration::from_secs(20 * DAY));
    store.maintain(time(START + 40 * DAY), retention).await.unwrap();
    let range = TimeRange::parse("2026-03-30T00:00:00+05:30", "2026-05-04T00:00:00+05:30", "Asia/Kolkata").unwrap();
    let answer = store.run(&by("team", range).bucket(Bucket::Day), &Grant::everything()).await.unwrap();
    assert!(!answer.basis.is_exact, "{:?}", answer.basis);
    assert_eq!(answer.groups[0].series, answer.series);
    let kept_from = Timestamp::from_second((START + 20 * DAY).try_into().unwrap()).unwrap();
    for (start, day) in answer.buckets.iter().zip(&answer.series).skip(1) {
        let has_rows = *start > kept_from;
        assert_eq!(start.to_string().ends_with("T18:30:00Z"), has_rows, "{start}");
        assert!(!has_rows || day.totals.requests == 48, "{start}: {}", day.totals.requests);
    }
    let days: u64 = answer.series.iter().map(|day| day.totals.requests).sum();
    assert_eq!(days, answer.total.totals.requests);
}
