//! Events in SQLite.

mod common;
#[path = "common/events.rs"]
mod events;

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use common::TempFolder;
use events::{call, distinct, event_at, expected, full_event, hostile_events, router};
use http::{Request, Response};
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Map, Value, json};
use tower::{Layer, ServiceExt};
use tower_tagging::{
    Event, EventLayer, Sink,
    sink::{BatchWriter, WriteErrorKind},
    sources::KeyCase,
    store::{KeyInfo, SqliteStore, StoreError},
    usage::Usage,
};

/// An empty store, in a folder that goes with it.
fn store(name: &str) -> (TempFolder, PathBuf, SqliteStore) {
    let folder = TempFolder::new(&format!("sqlite-{name}"));
    let path = folder.file("events.db");
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().unwrap();
    (folder, path, store)
}

fn write(store: &SqliteStore, events: &[Arc<Event>]) {
    store.writer().write(events).unwrap();
}

/// The first column of all rows, as text.
fn texts(path: &Path, sql: &str) -> Vec<String> {
    let db = Connection::open(path).unwrap();
    let mut select = db.prepare(sql).unwrap();
    let rows = select.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
    rows.map(|text| text.unwrap().unwrap_or_else(|| "NULL".to_owned())).collect()
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The row of an event, in the form of [`expected`].
fn row(path: &Path, event: &Event) -> Value {
    let db = Connection::open(path).unwrap();
    let mut select = db.prepare("SELECT * FROM llm_requests WHERE id = ?1").unwrap();
    let mut names: Vec<String> = Vec::new();
    for name in select.column_names() {
        names.push(name.to_owned());
    }
    let row = |row: &rusqlite::Row<'_>| {
        let mut object = Map::new();
        for (at, name) in names.iter().enumerate() {
            let value = match row.get_ref(at)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) if name == "stream" => json!(number == 1),
                ValueRef::Integer(number) => json!(number),
                ValueRef::Real(number) => json!(number),
                ValueRef::Text(text)
                    if ["raw_metadata", "indexed_metadata", "metadata_sources", "diagnostics"].contains(&&**name) =>
                {
                    serde_json::from_slice(text).unwrap()
                }
                ValueRef::Text(text) => json!(String::from_utf8(text.to_vec()).unwrap()),
                ValueRef::Blob(_) => panic!("{name} is no text"),
            };
            object.insert(name.clone(), value);
        }
        Ok(Value::Object(object))
    };
    select.query_row([event.id().to_string()], row).unwrap()
}

fn key<'a>(keys: &'a [KeyInfo], name: &str) -> &'a KeyInfo {
    keys.iter().find(|key| key.name() == name).unwrap_or_else(|| panic!("no {name} in {keys:?}"))
}

#[tokio::test]
async fn each_column_is_the_events() {
    let (_folder, path, store) = store("columns");
    let full = full_event().await;
    assert!(full.llm().unwrap().cost().is_some() && full.diagnostics().len() == 1, "as much is known as can be");
    let plain = events::events(1, |_, tags| tags.set_error("no more")).remove(0);
    write(&store, &[Arc::clone(&full), Arc::clone(&plain)]);
    for event in [full, plain] {
        assert_eq!(row(&path, &event), expected(&event));
    }
}

#[test]
fn an_event_is_stored_once() {
    let (_folder, path, store) = store("once");
    let events = events::events(10, |_, tags| tags.insert("team", "growth"));
    let mut writer = store.writer();
    writer.write(&events[..4]).unwrap();
    let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
    writer.write(&twice).unwrap();
    drop(writer);
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests"), 10);
    assert_eq!(key(&store.list_keys().unwrap(), "team").requests(), 10);
}

#[test]
fn replicas_migrate_at_a_time() {
    let folder = TempFolder::new("sqlite-migrate");
    let path = folder.file("events.db");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || SqliteStore::open(path).unwrap().migrate())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(texts(&path, "SELECT CAST(version AS TEXT) FROM llm_requests_migrations"), ["1", "2"]);
    Connection::open(&path).unwrap().execute("INSERT INTO llm_requests_migrations (version) VALUES (99)", []).unwrap();
    let error = SqliteStore::open(&path).unwrap().migrate().unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 2 }));
    assert_eq!(error.to_string(), "the tables are of version 99, and this version of tower-tagging knows 2 at most");
}

/// Tables of the first version get what they lack, and keep what they have.
#[test]
fn older_tables_are_brought_up() {
    let folder = TempFolder::new("sqlite-older");
    let path = folder.file("events.db");
    let store = SqliteStore::open(&path).unwrap();
    let db = Connection::open(&path).unwrap();
    db.execute_batch(include_str!("../src/store/sqlite/schema_1.sql")).unwrap();
    db.execute_batch(
        "CREATE TABLE llm_requests_migrations (version INTEGER PRIMARY KEY NOT NULL, applied_at TEXT);
         INSERT INTO llm_requests_migrations (version) VALUES (1)",
    )
    .unwrap();
    let events = events::events(1, |_, tags| tags.insert("team", "growth"));
    let error = store.writer().write(&events).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable);
    assert!(error.to_string().ends_with("missing or of an older version: run migrate()"), "{error}");
    db.execute_batch(
        "INSERT INTO llm_requests (id, requested_at, responded_at, response_time_ms, request_method, request_path, outcome,
             response_bytes, trace_id, client_trace_id, span_id, raw_metadata, diagnostics)
         VALUES ('old', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z', 0, 'GET', '/', 'completed', 0, '', '', '',
             '{}', '[]')",
    )
    .unwrap();
    store.migrate().unwrap();
    write(&store, &events);
    let sources = texts(&path, "SELECT metadata_sources FROM llm_requests ORDER BY requested_at");
    assert_eq!(sources, ["NULL", r#"{"team":"request"}"#]);
}

#[test]
fn what_an_operator_can_mend_is_tried_again() {
    let folder = TempFolder::new("sqlite-mend");
    let path = folder.file("events.db");
    let store = SqliteStore::open(&path).unwrap();
    let events = events::events(3, |_, _| {});
    let mut writer = store.writer();
    let error = writer.write(&events).unwrap_err();
    assert_eq!((error.kind(), error.written()), (WriteErrorKind::Retryable, 0));
    assert!(
        error.to_string().ends_with("the table llm_requests is missing or of an older version: run migrate()"),
        "{error}"
    );
    assert!(matches!(store.list_keys(), Err(StoreError::NotMigrated)));
    assert!(matches!(store.delete_before(SystemTime::now()), Err(StoreError::NotMigrated)));
    store.migrate().unwrap();
    writer.write(&events).unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests"), 3);
    // A file in a folder that is not there.
    assert!(matches!(SqliteStore::open(folder.file("none/events.db")), Err(StoreError::Database(_))));
}

#[test]
fn what_can_not_be_stored_is_rejected() {
    let (_folder, path, store) = store("rejected");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TRIGGER refuse BEFORE INSERT ON llm_requests WHEN new.error_message = 'bad'
         BEGIN SELECT raise(ABORT, 'refused'); END",
    )
    .unwrap();
    let events = events::events(3, |number, tags| {
        if number == 1 {
            tags.set_error("bad");
        }
    });
    let mut writer = store.writer();
    let error = writer.write(&events).unwrap_err();
    assert_eq!((error.kind(), error.written()), (WriteErrorKind::Rejected, 0));
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests"), 0);
    writer.write(&[Arc::clone(&events[0]), Arc::clone(&events[2])]).unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests"), 2);
}

#[test]
fn activated_keys_are_indexed() {
    let (_folder, path, store) = store("activate");
    let tags = |number: usize, tags: &tower_tagging::Tags| {
        tags.insert("Feature", if number.is_multiple_of(10) { "rare" } else { "common" });
        tags.insert("it's \"hostile\"", "yes");
        tags.insert("plain", "yes");
    };
    write(&store, &events::events(2_500, tags));
    for name in ["Feature", "it's \"hostile\"", "it's", "never seen", "$.x", "[0]", "'; DROP TABLE llm_requests; --"] {
        store.activate_key(name).unwrap();
        store.activate_key(name).unwrap();
    }
    // The writer takes them up too.
    write(&store, &events::events(100, tags));
    let rare = "SELECT count(*) FROM llm_requests WHERE indexed_metadata->>'Feature' = 'rare'";
    assert_eq!(number(&path, rare), 260);
    let whole = r#"{"Feature":"rare","it's \"hostile\"":"yes"}"#.replace('\'', "''");
    assert_eq!(number(&path, &format!("SELECT count(*) FROM llm_requests WHERE indexed_metadata = '{whole}'")), 260);
    let db = Connection::open(&path).unwrap();
    let plan: String = db.query_row(&format!("EXPLAIN QUERY PLAN {rare}"), [], |row| row.get(3)).unwrap();
    assert!(plan.contains("INDEX llm_requests_key_"), "{plan}");
    assert!(key(&store.list_keys().unwrap(), "Feature").is_active());
    assert!(!key(&store.list_keys().unwrap(), "plain").is_active());
    let unseen = store.list_keys().unwrap();
    let unseen = key(&unseen, "never seen");
    assert_eq!((unseen.requests(), unseen.last_seen(), unseen.distinct_values()), (0, None, 0));

    for key in store.list_keys().unwrap() {
        store.deactivate_key(key.name()).unwrap();
    }
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests WHERE indexed_metadata IS NOT NULL"), 0);
    assert_eq!(number(&path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'llm_requests_key_%'"), 0);
    assert!(matches!(store.activate_key(&"k".repeat(1025)), Err(StoreError::KeyTooLong)));
}

#[test]
fn activation_under_load_loses_nothing() {
    let (_folder, path, store) = store("load");
    let events = events::events(20_000, |_, tags| tags.insert("Feature", "search"));
    let stop = Arc::new(AtomicBool::new(false));
    let (stops, writes) = (Arc::clone(&stop), store.clone());
    let writer = thread::spawn(move || {
        let mut writer = writes.writer();
        let mut written = 0;
        for batch in events.chunks(100) {
            // A writer that waited in vain for the lock comes again.
            while let Err(error) = writer.write(batch) {
                assert_eq!(error.kind(), WriteErrorKind::Retryable, "{error}");
            }
            written += batch.len();
            if stops.load(Ordering::Relaxed) && written >= 10_000 {
                break;
            }
        }
        i64::try_from(written).unwrap()
    });
    thread::sleep(Duration::from_millis(100));
    for _ in 0..3 {
        store.activate_key("Feature").unwrap();
        store.deactivate_key("Feature").unwrap();
    }
    store.activate_key("Feature").unwrap();
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests"), written);
    assert_eq!(
        number(&path, "SELECT count(*) FROM llm_requests WHERE indexed_metadata->>'Feature' = 'search'"),
        written
    );
}

#[test]
fn keys_are_counted() {
    let (_folder, _, store) = store("keys");
    let events = events::events(3_000, |number, tags| {
        tags.insert("user", format!("user-{number}"));
        tags.insert("team", ["growth", "search", "ads"][number % 3]);
    });
    let mut writer = store.writer();
    for batch in events.chunks(700) {
        writer.write(batch).unwrap();
    }
    // Without waiting for the writer's end.
    let keys = store.list_keys().unwrap();
    assert_eq!(keys.iter().map(KeyInfo::name).collect::<Vec<_>>(), ["team", "user"]);
    let (team, user) = (key(&keys, "team"), key(&keys, "user"));
    assert_eq!((team.requests(), team.distinct_values(), team.is_active()), (3_000, 3, false));
    assert_eq!(user.requests(), 3_000);
    assert!((2_700..3_300).contains(&user.distinct_values()), "{user:?}");
    let last = events.iter().map(|event| event.time()).max().unwrap();
    assert!(last.duration_since(user.last_seen().unwrap()).unwrap() < Duration::from_micros(1));
}

#[test]
fn old_events_are_deleted() {
    let (_folder, path, store) = store("delete");
    let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(60 * 60 * 24 * days);
    let mut all = events::events(2_500, |_, _| {});
    let now = SystemTime::now();
    all.extend([event_at(day(1), |_, _| {}), event_at(day(2), |_, _| {}), event_at(day(3), |_, _| {})]);
    write(&store, &all);
    assert_eq!(store.delete_before(day(3)).unwrap(), 2);
    assert_eq!(store.delete_before(day(3)).unwrap(), 0);
    assert_eq!(store.delete_before(now + Duration::from_secs(60)).unwrap(), 2_501);
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests"), 0);
}

#[test]
fn hostile_values_cost_no_other_event() {
    let (_folder, path, store) = store("hostile");
    store.activate_key("'); DROP TABLE llm_requests; --").unwrap();
    store.activate_key("ordinary").unwrap();
    let events = hostile_events();
    write(&store, &events);
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests"), i64::try_from(distinct(&events)).unwrap());
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests WHERE NOT json_valid(raw_metadata)"), 0);
    assert_eq!(
        texts(&path, "SELECT error_message FROM llm_requests WHERE error_message LIKE 'NUL%'"),
        ["NUL \u{FFFD} in \u{FFFD} an error"]
    );
    assert_eq!(number(&path, "SELECT max(input_tokens) FROM llm_requests"), i64::MAX);
    assert_eq!(
        texts(&path, "SELECT min(requested_at) FROM llm_requests UNION SELECT max(requested_at) FROM llm_requests"),
        ["1970-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"]
    );
    store.deactivate_key("'); DROP TABLE llm_requests; --").unwrap();
    // More keys than are stored with each batch: they are at the writer's end.
    let keys = store.list_keys().unwrap();
    assert!((4_000..=4_200).contains(&keys.len()), "{}", keys.len());
}

#[tokio::test]
async fn spend_by_feature_in_both_cases() {
    for (key_case, feature) in [(KeyCase::Title, "Feature"), (KeyCase::Lower, "feature")] {
        let (_folder, path, store) = store(feature);
        let sink = store.sink();
        let router = router(sink.clone(), key_case);
        for name in ["search", "search", "chat"] {
            call(&router, &[("x-majordomo-feature", name)]).await;
        }
        let report = sink.delivery().shutdown(Duration::from_secs(10)).await;
        assert_eq!(report.sinks[0].delivered, 3);
        let spend = format!(
            "SELECT raw_metadata->>'{feature}' || ' ' || count(*) || ' ' || sum(input_tokens) || ' ' ||
                 (abs(sum(total_cost) - count(*) * max(total_cost)) < 1e-12 AND min(total_cost) > 0)
             FROM llm_requests WHERE raw_metadata->>'{feature}' IS NOT NULL GROUP BY raw_metadata->>'{feature}'
             ORDER BY sum(total_cost) DESC"
        );
        assert_eq!(texts(&path, &spend), ["search 2 4012 1", "chat 1 2006 1"]);
    }
}

#[test]
fn recorded_usage_is_stored() {
    let (_folder, path, store) = store("recorded");
    let sink = store.sink();
    let layer = EventLayer::new(sink.clone());
    events::emit(&layer, 5, |_, tags| tags.record_usage(Usage::tokens(2_006, 300).of("openai", "gpt-4o")));
    assert!(sink.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    assert_eq!(number(&path, "SELECT sum(input_tokens) FROM llm_requests WHERE model = 'gpt-4o'"), 10_030);
    assert_eq!(texts(&path, "PRAGMA journal_mode"), ["wal"]);
}

/// A file that was removed takes nothing with it: events wait until the tables are there again.
#[cfg(unix)]
#[test]
fn a_file_that_is_removed_is_noticed() {
    use tower_tagging::sink::{Queued, RetryPolicy};

    let folder = TempFolder::new("removed");
    let path = folder.file("events.db");
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().unwrap();
    let retry = RetryPolicy::new().min_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(5));
    let sink = Queued::builder("sqlite", store.writer()).retry(retry).build();
    let layer = EventLayer::new(sink.clone());
    let service = Layer::layer(
        &layer,
        tower::service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) }),
    );
    let emit = || {
        let request = Request::get("/").body(()).unwrap();
        let call = ServiceExt::oneshot(service.clone(), request);
        futures_util::FutureExt::now_or_never(call).unwrap().unwrap();
    };
    let in_flight = || Sink::delivery(&sink).report().sinks[0].in_flight();
    let deadline = Instant::now() + Duration::from_secs(20);
    emit();
    while in_flight() > 0 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(1));
    }
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        let _ = fs::remove_file(folder.file(name));
    }
    emit();
    while Sink::delivery(&sink).is_healthy() {
        assert!(Instant::now() < deadline, "nobody noticed");
        thread::sleep(Duration::from_millis(1));
    }
    store.migrate().unwrap();
    let report = Sink::delivery(&sink).shutdown_blocking(Duration::from_secs(20));
    assert!(report.is_complete(), "{report}");
    let count: u32 =
        Connection::open(&path).unwrap().query_row("SELECT count(*) FROM llm_requests", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1, "the one that came after");
    for name in ["", ":memory:", "file:x?mode=memory"] {
        assert!(SqliteStore::open(name).is_err(), "{name:?}");
    }
}
