//! Cases of analytics that random requests do not reach: limits, retention, and extreme values.

mod common;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use common::TempFolder;
use tower_tagging::{
    Event, Metadata,
    analytics::{
        Amount, Analytics, Bucket, Dimension, Field, Filter, Grant, Measure, Order, Query, QueryError, Retention,
        RowQuery, TimeRange,
        focus::{FocusError, FocusExport},
        jiff::Timestamp,
        reconcile::our_lines,
        reprice::{RepriceOptions, reprice},
    },
    metadata::Scope,
    registry::Permission,
    sink::BatchWriter,
    store::{Feedback, MemoryStore, SqliteStore},
    usage::{Cost, LlmCall, LlmCallBuilder, Money, Usage, price_fn},
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

/// Total and order need them once, and the groups of the page once more.
#[tokio::test(flavor = "multi_thread")]
async fn rows_at_the_edges_are_read_twice_at_most() {
    let (_folder, store) = open("once");
    let one = |n: u64| event(START + n * 600, &[("team", if n.is_multiple_of(3) { "a" } else { "b" })], 1, "h");
    store.writer().write(&(0..60).map(one).collect::<Vec<_>>()).unwrap();
    let store = Analytics::new(store);
    for extra in [Field::Model, Field::Host] {
        store.activate_pair(Dimension::tag("team"), extra.into()).await.unwrap();
    }
    let at = |seconds: u64| Timestamp::from_second(seconds.try_into().unwrap()).unwrap();
    // Twenty minutes at each end. The total has sums of quarter hours, so it needs only a part of them.
    let range = TimeRange::new(at(START + 2_400), at(START + 8 * 3_600 + 1_200)).unwrap();
    let distinct = |field: Field| Measure::Distinct(field.into());
    let measured =
        |query: Query| query.measure(distinct(Field::Model)).measure(distinct(Field::Host)).bucket(Bucket::Hour);
    let (total, query) = (measured(Query::new(range.clone()).measure(Measure::Requests)), measured(by("team", range)));
    for (query, rows_read) in [(query, 8), (total, 4)] {
        let answer = store.run(&query, &Grant::everything()).await.unwrap();
        assert!(answer.basis.is_exact);
        assert_eq!((answer.total.totals.requests, answer.basis.rows_read), (46, rows_read));
    }
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

/// Sums of the finest tier are deleted in steps, and `verify` may run between two of them.
#[tokio::test(flavor = "multi_thread")]
async fn verify_ignores_sums_that_are_about_to_be_deleted() {
    let (folder, store) = open("deleting");
    let batch: Vec<_> = (0..100).map(|n| event(START + n * DAY + 3600, &[("team", "a")], 1, "h")).collect();
    store.writer().write(&batch).unwrap();
    let store = Analytics::new(store);
    let database = rusqlite::Connection::open(folder.file("events.db")).unwrap();
    database.execute_batch("CREATE TABLE before AS SELECT * FROM tagging_rollups").unwrap();
    let retention = Retention::forever().hours(Duration::from_secs(60 * DAY));
    store.maintain(time(START + 110 * DAY), retention).await.unwrap();
    let restored = database.execute("INSERT OR IGNORE INTO tagging_rollups SELECT * FROM before", []).unwrap();
    assert!(restored > 0);
    assert_eq!(store.verify(&whole()).await.unwrap(), Vec::<String>::new());
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

#[tokio::test(flavor = "multi_thread")]
async fn each_method_needs_its_permission() {
    fn is_allowed<T>(result: Result<T, QueryError>) -> bool {
        match result {
            Ok(_) => true,
            Err(QueryError::Forbidden(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }
    let (_folder, store) = open("permissions");
    for store in [Analytics::new(store), Analytics::new(MemoryStore::new())] {
        let (query, rows) = (by("team", whole()), RowQuery::new(whole()));
        let call = event(START, &[("team", "a")], 1, "h");
        let mut feedback = Feedback::new("trace", 1, time(START));
        feedback.workspace = Some("acme".to_owned());
        for permission in Permission::ALL {
            let grant = Grant::only([Filter::is(Field::Workspace, "acme")]);
            let grant = grant.with_permissions([*permission].into_iter().collect());
            let prices = price_fn(|_| None);
            let focus = FocusExport::new("account").write(&store, &rows, &grant, std::io::sink()).await;
            let focus = focus.map_err(|error| match error {
                FocusError::Query(error) => error,
                error => panic!("{error}"),
            });
            for (needed, is_allowed) in [
                (Permission::AnalyticsView, is_allowed(store.run(&query, &grant).await)),
                (Permission::AnalyticsView, is_allowed(store.explain(&query, &grant).await)),
                (Permission::AnalyticsView, is_allowed(store.feedback_scores(&query, &grant).await)),
                (
                    Permission::AnalyticsView,
                    is_allowed(reprice(&store, &query, &prices, &RepriceOptions::new(), &grant).await),
                ),
                (Permission::AnalyticsView, is_allowed(our_lines(&store, &rows, &grant).await)),
                (Permission::LogsView, is_allowed(store.rows(&rows, &grant).await)),
                (Permission::LogsView, is_allowed(store.row(call.id(), &grant).await)),
                (Permission::LogsExport, is_allowed(focus)),
                (Permission::LogsWrite, is_allowed(store.write(vec![call.clone()], &grant).await)),
                (Permission::LogsWrite, is_allowed(store.put_feedback(feedback.clone(), &grant).await)),
            ] {
                let is_expected = *permission == needed || *permission == Permission::Admin;
                assert_eq!(is_allowed, is_expected, "{permission} instead of {needed}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_limits_what_is_written() {
    let store = Analytics::new(MemoryStore::new());
    let writer =
        |workspace: &str| Grant::only([Filter::is(Field::Workspace, workspace)]).with_permission(Permission::LogsWrite);
    let feedback = |workspace: Option<&str>| {
        let mut feedback = Feedback::new("trace", 1, time(START));
        feedback.workspace = workspace.map(Into::into);
        feedback
    };
    let own = || event(START, &[], 1, "h");
    let foreign = || Arc::new(Event::builder().time(time(START)).workspace("globex").build());
    let error = store.write(vec![own(), foreign()], &writer("acme")).await.unwrap_err();
    assert!(matches!(error, QueryError::Forbidden(_)), "{error}");
    let none = store.run(&by("team", whole()), &Grant::everything()).await.unwrap();
    assert_eq!(none.total.totals.requests, 0, "all are stored, or none");
    store.write(vec![own()], &writer("acme")).await.unwrap();
    for workspace in [None, Some("globex")] {
        store.put_feedback(feedback(workspace), &writer("acme")).await.unwrap_err();
    }
    let mut given = feedback(Some("acme"));
    store.put_feedback(given.clone(), &writer("acme")).await.unwrap();
    given.workspace = Some("globex".to_owned());
    store.put_feedback(given, &writer("globex")).await.expect_err("it replaces feedback of another workspace");
    let by_team = Grant::only([Filter::is(Dimension::tag("team"), "a")]).with_permission(Permission::LogsWrite);
    store.put_feedback(feedback(None), &by_team).await.unwrap_err();
    let team = [Filter::is(Field::Workspace, "acme"), Filter::is(Dimension::tag("team"), "a")];
    let of_team = Grant::only(team).with_permission(Permission::LogsWrite);
    store.put_feedback(feedback(Some("acme")), &of_team).await.expect_err("it may be on requests of another team");
    store.put_feedback(feedback(None), &Grant::everything()).await.unwrap();
}

/// The groups of a page may be gone when the next page is read.
#[tokio::test(flavor = "multi_thread")]
async fn paging_continues_after_a_group_that_no_longer_exists() {
    for order in [
        Order::Descending(Measure::Requests),
        Order::Ascending(Measure::AvgTokens),
        Order::Descending(Measure::Cost),
        Order::Ascending(Measure::FirstSeen),
        Order::Values,
    ] {
        let store = MemoryStore::new();
        let mut batch = Vec::new();
        for (team, requests) in [("a", 5), ("b", 4), ("c", 3), ("d", 2), ("e", 1)] {
            // Only the requests of `b` are deleted.
            let start = if team == "b" { START } else { START + DAY };
            batch.extend((0..requests).map(|n| event(start + n, &[("team", team)], requests, "h")));
        }
        store.writer().write(&batch).unwrap();
        let analytics = Analytics::new(store.clone());
        let mut query = by("team", whole()).measure(Measure::AvgTokens).measure(Measure::Cost);
        query = query.measure(Measure::FirstSeen).order(order.clone()).limit(1);
        let mut teams = Vec::new();
        loop {
            let answer = analytics.run(&query, &Grant::everything()).await.unwrap();
            teams.extend(answer.groups.iter().filter_map(|group| group.values[0].clone()));
            if teams.last().is_some_and(|team| team == "b") {
                store.delete_before(time(START + DAY));
            }
            query.cursor = answer.next;
            if query.cursor.is_none() {
                break;
            }
        }
        teams.sort_unstable();
        assert_eq!(teams, ["a", "b", "c", "d", "e"], "{order:?}");
    }
}

/// The latest request may be one that the grant does not cover.
#[tokio::test(flavor = "multi_thread")]
async fn a_limited_grant_sees_the_minute_of_the_latest_request() {
    let (_folder, store) = open("latest");
    let latest = time(START + 3_661) + Duration::from_micros(5);
    let events = [Arc::new(Event::builder().time(latest).workspace("globex").build())];
    store.writer().write(&events).unwrap();
    let memory = MemoryStore::new();
    memory.writer().write(&events).unwrap();
    for store in [Analytics::new(store), Analytics::new(memory)] {
        let acme = Grant::only([Filter::is(Field::Workspace, "acme")]);
        for (grant, expected) in [(Grant::everything(), latest), (acme, time(START + 3_660))] {
            let expected = Some(Timestamp::try_from(expected).unwrap());
            assert_eq!(store.run(&by("team", whole()), &grant).await.unwrap().basis.data_up_to, expected);
            let scores = store.feedback_scores(&Query::new(whole()), &grant).await.unwrap();
            assert_eq!(scores.basis.data_up_to, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_is_limited_by_workspace_and_the_answer_reports_it() {
    let (_folder, store) = open("feedback");
    let call = |workspace: &str| Arc::new(Event::builder().time(time(START)).workspace(workspace).build());
    let (acme, globex) = (call("acme"), call("globex"));
    store.writer().write(&[acme.clone(), globex.clone()]).unwrap();
    let analytics = Analytics::new(store).row_limits(10, Duration::from_secs(5));
    // The entries of acme are older than all of those of globex.
    for number in 0..23_u8 {
        let event = if number < 3 { &acme } else { &globex };
        let mut feedback = Feedback::new(event.trace().trace_id().to_string(), 1, time(START));
        feedback.id = uuid::Uuid::from_u128(number.into());
        feedback.workspace = event.workspace().map(Into::into);
        analytics.put_feedback(feedback, &Grant::everything()).await.unwrap();
    }
    let query = Query::new(whole()).measure(Measure::FeedbackScore);
    let tenant = |slug: &str| Grant::only([Filter::is(Field::Workspace, slug)]);
    let only_acme = query.clone().filter(Filter::is(Field::Workspace, "acme"));
    for (query, grant, entries, is_exact) in [
        (&query, tenant("acme"), 3, true),
        (&only_acme, Grant::everything(), 3, true),
        (&query, tenant("globex"), 10, false),
        (&query, Grant::everything(), 10, false),
    ] {
        let answer = analytics.run(query, &grant).await.unwrap();
        assert_eq!((answer.total.feedback.entries, answer.basis.is_exact), (entries, is_exact), "{grant:?}");
        assert_eq!(answer.basis.notes.iter().any(|note| note.contains("feedback")), !is_exact);
        let scores = analytics.feedback_scores(query, &grant).await.unwrap();
        assert_eq!((&scores.counts[&1], scores.basis.is_exact), (&entries, is_exact), "{grant:?}");
        assert_eq!((scores.basis.notes, scores.basis.data_up_to), (answer.basis.notes, answer.basis.data_up_to));
    }
}

/// Writers wait for a step of the build, so a busy day takes several.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_busy_day_is_built_in_steps_while_writers_go_on() {
    let (folder, store) = open("steps");
    let one = |n: u64| event(START + n * 5, &[("shop", if n.is_multiple_of(3) { "a" } else { "b" })], 1, "h");
    for start in (0..16_000).step_by(1_000) {
        store.writer().write(&(start..start + 1_000).map(one).collect::<Vec<_>>()).unwrap();
    }
    let is_done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stop, mut writer) = (is_done.clone(), store.writer());
    let writing = tokio::task::spawn_blocking(move || {
        let mut written = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) || written == 0 {
            writer.write(&[event(START + written * 997 % DAY, &[("shop", "late")], 1, "h")]).unwrap();
            written += 1;
        }
        written
    });
    let (stop, file) = (is_done.clone(), folder.file("events.db"));
    let watching = tokio::task::spawn_blocking(move || {
        let database = rusqlite::Connection::open(file).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let sql = "SELECT built_to FROM tagging_subjects WHERE first = 'metadata.shop'";
            seen.extend(database.query_row(sql, [], |row| row.get::<_, i64>(0)).ok());
        }
        seen
    });
    let analytics = Analytics::new(store);
    analytics.activate_key("shop").await.unwrap();
    is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    let (written, seen) = (writing.await.unwrap(), watching.await.unwrap());
    assert!(seen.iter().filter(|quarter| **quarter % 96 != 0).count() >= 2, "{seen:?}");
    let answer = analytics.run(&by("shop", whole()), &Grant::everything()).await.unwrap();
    assert_eq!(answer.basis.rows_read, 0);
    assert_eq!(answer.groups.iter().map(|group| group.cell.totals.requests).sum::<u64>(), 16_000 + written);
    assert_eq!(analytics.verify(&whole()).await.unwrap(), Vec::<String>::new());
}

/// The sums by hour of earlier days are replaced with those by day.
#[tokio::test(flavor = "multi_thread")]
async fn keys_whose_values_become_many_are_built_by_day() {
    let (folder, store) = open("many");
    let few = (0..10).map(|n| event(START + n * 3_600, &[("shop", "a")], 1, "h"));
    let many = (0..700).map(|n| event(START + 3 * DAY + n * 100, &[("shop", &format!("s{n}"))], 1, "h"));
    store.writer().write(&few.chain(many).collect::<Vec<_>>()).unwrap();
    let analytics = Analytics::new(store);
    analytics.activate_key("shop").await.unwrap();
    let answer = analytics.run(&by("shop", whole()), &Grant::everything()).await.unwrap();
    assert_eq!((answer.basis.rows_read, answer.total.totals.requests, answer.group_count), (0, 710, 701));
    assert_eq!(analytics.verify(&whole()).await.unwrap(), Vec::<String>::new());
    let database = rusqlite::Connection::open(folder.file("events.db")).unwrap();
    let sql = "SELECT count(*) FROM tagging_rollups AS r JOIN tagging_subjects AS s ON s.id = r.subject
               WHERE s.first = 'metadata.shop' AND r.tier < s.live";
    assert_eq!(database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[tokio::test]
async fn refused_calls_are_not_unpriced() {
    let call = |status: u16, usage: Option<Usage>| {
        let call = LlmCall::builder().provider("vllm").request_model("in-house").response_model("in-house");
        let call = usage.into_iter().fold(call, LlmCallBuilder::usage).build();
        Arc::new(Event::builder().time(time(START)).status(status.try_into().unwrap()).llm(call).build())
    };
    let usage = || Some(Usage::tokens(10, 5));
    // Refused with 429 or 500; then with an unknown cost: without usage, with usage, and failed with usage.
    let events = [call(429, None), call(500, None), call(200, None), call(200, usage()), call(500, usage())];
    let (_folder, sqlite) = open("refused");
    let memory = MemoryStore::new();
    for mut writer in [Box::new(sqlite.writer()) as Box<dyn BatchWriter>, Box::new(memory.writer())] {
        writer.write(&events).unwrap();
    }
    for analytics in [Analytics::new(sqlite), Analytics::new(memory)] {
        let query = Query::new(whole()).measure(Measure::UnpricedRequests).measure(Measure::UnpricedShare);
        let answer = analytics.run(&query, &Grant::everything()).await.unwrap();
        assert_eq!((answer.total.totals.llm_calls, answer.total.totals.unpriced), (5, 3));
        assert_eq!(answer.basis.unpriced_share, Some(60.0));
        let (rows, grant) = (RowQuery::new(whole()), Grant::everything());
        let manifest = FocusExport::new("Acme").write(&analytics, &rows, &grant, std::io::sink()).await.unwrap();
        assert_eq!(manifest.unpriced_requests, 3);
    }
}

/// Of requests that cost 3, 1, and 0 with a team, and 4 without or with an empty one, half of the cost has a team.
#[tokio::test]
async fn coverage_is_the_share_of_the_cost_that_carries_a_tag() {
    let (_folder, store) = open("coverage");
    let mut writer = store.writer();
    let events = [
        event(START, &[("team", "growth")], 3_000, "a"),
        event(START, &[("team", "ads")], 1_000, "a"),
        event(START, &[("team", "ads")], 0, "a"),
        event(START, &[("team", "")], 1_500, "a"),
        event(START, &[("other", "x")], 2_500, "a"),
    ];
    writer.write(&events).unwrap();
    let analytics = Analytics::new(store);
    for (key, of_requests, of_cost) in [("team", 60.0, 50.0), ("other", 20.0, 31.25), ("nobody", 0.0, 0.0)] {
        let query = Query::new(whole()).measure(Measure::Coverage(key.to_owned()));
        let query = query.measure(Measure::CostCoverage(key.to_owned()));
        let answer = analytics.run(&query, &Grant::everything()).await.unwrap();
        assert_eq!(answer.total.values, [of_requests, of_cost].map(|share| Some(Amount::Percent(share))), "{key}");
    }
}
