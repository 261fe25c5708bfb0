//! Tests of `SqliteStore`.

mod common;
#[path = "common/events.rs"]
mod events;
#[path = "common/queries.rs"]
mod queries;
#[macro_use]
#[path = "common/store_suite.rs"]
mod store_suite;
#[path = "common/use_cases.rs"]
mod use_cases;

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
use events::{call, distinct, event_at, expected, hostile_events, router};
use http::{Request, Response};
use queries::Rows;
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Map, Value, json};
use store_suite::TestStore;
use tower::{Layer, ServiceExt};
use tower_tagging::{
    Event, EventLayer, Sink,
    sink::{BatchWriter, WriteErrorKind},
    sources::KeyCase,
    store::{Column, ColumnKind, EventRow, KeyInfo, SCHEMA, SqliteStore, StoreError},
    usage::Usage,
};
use uuid::Uuid;

/// A store in its own folder, which is removed at the end of the test.
struct TestFile {
    store: SqliteStore,
    _folder: TempFolder,
}

fn open(name: &str) -> TestFile {
    let (folder, _, store) = store(name);
    TestFile { store, _folder: folder }
}

impl TestStore for TestFile {
    fn writer(&self) -> Box<dyn BatchWriter> {
        Box::new(self.store.writer())
    }

    fn event(&self, id: Uuid) -> Option<EventRow> {
        self.store.event(id).unwrap()
    }

    fn latest(&self, limit: u32) -> Vec<EventRow> {
        self.store.latest(limit).unwrap()
    }

    fn set_active(&self, key: &str, is_active: bool) -> Result<(), StoreError> {
        if is_active { self.store.activate_key(key) } else { self.store.deactivate_key(key) }
    }

    fn list_keys(&self) -> Vec<KeyInfo> {
        self.store.list_keys().unwrap()
    }

    fn delete_before(&self, time: SystemTime) -> u64 {
        self.store.delete_before(time).unwrap()
    }
}

store_suite!([], open);

/// Creates an empty store in a folder that is removed when the first value is dropped.
fn store(name: &str) -> (TempFolder, PathBuf, SqliteStore) {
    let folder = TempFolder::new(&format!("sqlite-{name}"));
    let path = folder.file("events.db");
    let store = SqliteStore::open(&path).unwrap().active_keys(Vec::<String>::new());
    store.migrate().unwrap();
    (folder, path, store)
}

fn write(store: &SqliteStore, events: &[Arc<Event>]) {
    store.writer().write(events).unwrap();
}

/// Returns all rows as text.
fn rows(path: &Path, sql: &str) -> Rows {
    let db = Connection::open(path).unwrap();
    let mut select = db.prepare(sql).unwrap();
    let columns = select.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(_) => panic!("expected text: {sql}"),
    };
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| Ok(text(row.get_ref(at)?))).collect();
    select.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// Returns the first column of all rows as text.
fn texts(path: &Path, sql: &str) -> Vec<String> {
    rows(path, sql).into_iter().map(|mut row| row.remove(0).unwrap_or_else(|| "NULL".to_owned())).collect()
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Returns the row of an event in the form of [`expected`].
fn row(path: &Path, event: &Event) -> Value {
    let db = Connection::open(path).unwrap();
    let mut select = db.prepare("SELECT * FROM tagging_events WHERE id = ?1").unwrap();
    let value = |column: &Column, value: ValueRef<'_>| match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) if column.kind == ColumnKind::Boolean => json!(number == 1),
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) if column.kind == ColumnKind::Json => serde_json::from_slice(text).unwrap(),
        ValueRef::Text(text) => json!(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(_) => panic!("{} is not text", column.name),
    };
    let row = |row: &rusqlite::Row<'_>| {
        let columns =
            SCHEMA.iter().map(|column| Ok((column.name.to_owned(), value(column, row.get_ref(column.name)?))));
        columns.collect::<rusqlite::Result<Map<_, _>>>()
    };
    Value::Object(select.query_row([event.id().to_string()], row).unwrap())
}

fn key<'a>(keys: &'a [KeyInfo], name: &str) -> &'a KeyInfo {
    keys.iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no {name} in {keys:?}"))
}

#[test]
fn stores_each_column() {
    let (_folder, path, store) = store("columns");
    let events = events::varied_events();
    write(&store, &events);
    for event in events {
        assert_eq!(row(&path, &event), expected(&event));
    }
}

#[test]
fn answers_the_documented_queries() {
    let (_folder, path, store) = store("queries");
    store.activate_key("Feature").unwrap();
    write(&store, &queries::spending_events());
    queries::check("SQLite", |sql| rows(&path, sql));
    let indexed = queries::query("SQLite", "One feature, by the index");
    let plan =
        Connection::open(&path).unwrap().query_row(&format!("EXPLAIN QUERY PLAN {indexed}"), [], |row| row.get(3));
    let plan: String = plan.unwrap();
    assert!(plan.contains("INDEX tagging_events_key_"), "{plan}");
}

#[test]
fn answers_the_questions_of_the_use_cases() {
    use_cases::check(|events, sql| {
        let (_folder, path, store) = store("use_cases");
        write(&store, events);
        rows(&path, sql)
    });
}

/// Queries of LLM gateways use these names.
#[test]
fn has_a_view_of_llm_calls() {
    let (_folder, path, store) = store("view");
    let events = events::varied_events();
    write(&store, &events);
    write(
        &store,
        &events::events(1, |_, tags| tags.record_usage(Usage::tokens(7, 1).of("unknown-provider", "unpriced"))),
    );
    let calls = events.iter().filter(|event| event.llm().is_some()).count();
    assert_eq!(number(&path, "SELECT count(*) FROM llm_requests"), i64::try_from(calls + 1).unwrap());
    let aliases = "SELECT count(*) FROM llm_requests WHERE cached_tokens IS cache_read_tokens
        AND cache_creation_tokens IS cache_write_tokens AND cache_creation_1h_tokens IS cache_write_1h_tokens";
    assert_eq!(number(&path, aliases), i64::try_from(calls + 1).unwrap());
    let unpriced = "SELECT total_cost || ' ' || cost_status FROM llm_requests WHERE model = 'unpriced'";
    assert_eq!(texts(&path, unpriced), ["0.0 unpriced_model"]);
}

#[test]
fn writes_to_older_tables_are_retried() {
    let (_folder, path, store) = store("older");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("DROP VIEW llm_requests; ALTER TABLE tagging_events DROP COLUMN limit_rule").unwrap();
    let error = store.writer().write(&events::events(1, |_, _| {})).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable);
    assert!(error.to_string().ends_with("missing or of an older version: run migrate()"), "{error}");
    assert!(matches!(store.latest(1), Err(StoreError::NotMigrated)));
}

#[test]
fn errors_name_the_file() {
    let folder = TempFolder::new("sqlite-errors");
    let missing = folder.file("none/events.db");
    let error = SqliteStore::open(&missing).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot open {}: ", missing.display())), "{error}");
    for name in ["", ":memory:", "file:x?mode=memory"] {
        let error = SqliteStore::open(name).unwrap_err().to_string();
        assert_eq!(error, format!("cannot open {name:?}: expected the path of a file"));
    }
}

#[test]
fn replicas_migrate_at_the_same_time() {
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
    assert_eq!(texts(&path, "SELECT version FROM tagging_migrations"), ["1"]);
    Connection::open(&path).unwrap().execute("INSERT INTO tagging_migrations (version) VALUES (99)", []).unwrap();
    let error = SqliteStore::open(&path).unwrap().migrate().unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 1, .. }));
    assert_eq!(
        error.to_string(),
        "the tables have version 99, but this version of tower-tagging supports version 1 at most: upgrade tower-tagging"
    );
}

#[test]
fn retries_errors_that_an_operator_can_fix() {
    let folder = TempFolder::new("sqlite-mend");
    let path = folder.file("events.db");
    let store = SqliteStore::open(&path).unwrap();
    let events = events::events(3, |_, _| {});
    let mut writer = store.writer();
    let error = writer.write(&events).unwrap_err();
    assert_eq!((error.kind(), error.written()), (WriteErrorKind::Retryable, 0));
    assert!(
        error.to_string().ends_with("the table tagging_events is missing or of an older version: run migrate()"),
        "{error}"
    );
    assert!(matches!(store.list_keys(), Err(StoreError::NotMigrated)));
    assert!(matches!(store.delete_before(SystemTime::now()), Err(StoreError::NotMigrated)));
    store.migrate().unwrap();
    writer.write(&events).unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM tagging_events"), 3);
}

#[test]
fn rejects_events_that_cannot_be_stored() {
    let (_folder, path, store) = store("rejected");
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TRIGGER refuse BEFORE INSERT ON tagging_events WHEN new.error_message = 'bad'
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
    assert!(error.to_string().contains(&format!("cannot write to {}: refused", path.display())), "{error}");
    assert_eq!(number(&path, "SELECT count(*) FROM tagging_events"), 0);
    writer.write(&[Arc::clone(&events[0]), Arc::clone(&events[2])]).unwrap();
    assert_eq!(number(&path, "SELECT count(*) FROM tagging_events"), 2);
}

#[test]
fn finds_activated_keys_by_the_index() {
    let (_folder, path, store) = store("activate");
    let tags = |number: usize, tags: &tower_tagging::Tags| {
        tags.insert("Feature", if number.is_multiple_of(10) { "rare" } else { "common" });
        tags.insert("it's \"hostile\"", "yes");
        tags.insert("plain", "yes");
    };
    write(&store, &events::events(2_500, tags));
    for name in ["Feature", "it's \"hostile\"", "it's", "never seen", "$.x", "[0]", "'; DROP TABLE tagging_events; --"]
    {
        store.activate_key(name).unwrap();
        store.activate_key(name).unwrap();
    }
    // The writer indexes new events as well.
    write(&store, &events::events(100, tags));
    let rare = "SELECT count(*) FROM tagging_events WHERE indexed_metadata->>'Feature' = 'rare'";
    assert_eq!(number(&path, rare), 260);
    let whole = r#"{"Feature":"rare","it's \"hostile\"":"yes"}"#.replace('\'', "''");
    assert_eq!(number(&path, &format!("SELECT count(*) FROM tagging_events WHERE indexed_metadata = '{whole}'")), 260);
    let db = Connection::open(&path).unwrap();
    let plan: String = db.query_row(&format!("EXPLAIN QUERY PLAN {rare}"), [], |row| row.get(3)).unwrap();
    assert!(plan.contains("INDEX tagging_events_key_"), "{plan}");
    assert!(key(&store.list_keys().unwrap(), "Feature").is_active);
    assert!(!key(&store.list_keys().unwrap(), "plain").is_active);
    let unseen = store.list_keys().unwrap();
    let unseen = key(&unseen, "never seen");
    assert_eq!((unseen.requests, unseen.last_seen, unseen.distinct_values), (0, None, 0));

    for key in store.list_keys().unwrap() {
        store.deactivate_key(&key.name).unwrap();
    }
    assert_eq!(number(&path, "SELECT count(*) FROM tagging_events WHERE indexed_metadata IS NOT NULL"), 0);
    assert_eq!(number(&path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'tagging_events_key_%'"), 0);
    assert!(matches!(store.activate_key(&"k".repeat(1025)), Err(StoreError::KeyTooLong)));
}

#[test]
fn activation_under_load_loses_no_events() {
    let (_folder, path, store) = store("load");
    let events = events::events(20_000, |_, tags| tags.insert("Feature", "search"));
    let stop = Arc::new(AtomicBool::new(false));
    let (should_stop, writer_store) = (Arc::clone(&stop), store.clone());
    let writer = thread::spawn(move || {
        let mut writer = writer_store.writer();
        let mut written = 0;
        for batch in events.chunks(100) {
            // Retries if the database is locked.
            while let Err(error) = writer.write(batch) {
                assert_eq!(error.kind(), WriteErrorKind::Retryable, "{error}");
            }
            written += batch.len();
            if should_stop.load(Ordering::Relaxed) && written >= 10_000 {
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
    assert_eq!(number(&path, "SELECT count(*) FROM tagging_events"), written);
    assert_eq!(
        number(&path, "SELECT count(*) FROM tagging_events WHERE indexed_metadata->>'Feature' = 'search'"),
        written
    );
}

#[test]
fn deletes_many_events() {
    let (_folder, path, store) = store("delete");
    let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(60 * 60 * 24 * days);
    let mut all = events::events(2_500, |_, _| {});
    let now = SystemTime::now();
    all.extend([event_at(day(1), |_, _| {}), event_at(day(2), |_, _| {}), event_at(day(3), |_, _| {})]);
    write(&store, &all);
    assert_eq!(store.delete_before(day(3)).unwrap(), 2);
    assert_eq!(store.delete_before(day(3)).unwrap(), 0);
    assert_eq!(store.delete_before(now + Duration::from_secs(60)).unwrap(), 2_501);
    assert_eq!(number(&path, "SELECT count(*) FROM tagging_events"), 0);
}

#[test]
fn hostile_values_do_not_affect_other_events() {
    let (_folder, path, store) = store("hostile");
    store.activate_key("'); DROP TABLE tagging_events; --").unwrap();
    store.activate_key("ordinary").unwrap();
    let events = hostile_events();
    write(&store, &events);
    assert_eq!(number(&path, "SELECT count(*) FROM tagging_events"), i64::try_from(distinct(&events)).unwrap());
    assert_eq!(number(&path, "SELECT count(*) FROM tagging_events WHERE NOT json_valid(raw_metadata)"), 0);
    assert_eq!(
        texts(&path, "SELECT error_message FROM tagging_events WHERE error_message LIKE 'NUL%'"),
        ["NUL \u{FFFD} in \u{FFFD} an error"]
    );
    assert_eq!(number(&path, "SELECT max(input_tokens) FROM tagging_events"), 1_000_000_000_000);
    assert_eq!(
        texts(&path, "SELECT min(requested_at) FROM tagging_events UNION SELECT max(requested_at) FROM tagging_events"),
        ["1970-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"]
    );
    store.deactivate_key("'); DROP TABLE tagging_events; --").unwrap();
    // A batch stores only some of these keys. The writer stores the rest when it is dropped.
    let keys = store.list_keys().unwrap();
    assert!((4_000..=4_200).contains(&keys.len()), "{}", keys.len());
}

#[tokio::test]
async fn queries_spend_in_both_key_cases() {
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
             FROM tagging_events WHERE raw_metadata->>'{feature}' IS NOT NULL GROUP BY raw_metadata->>'{feature}'
             ORDER BY sum(total_cost) DESC"
        );
        assert_eq!(texts(&path, &spend), ["search 2 4012 1", "chat 1 2006 1"]);
    }
}

#[test]
fn stores_recorded_usage() {
    let (_folder, path, store) = store("recorded");
    let sink = store.sink();
    let layer = EventLayer::new(sink.clone());
    events::emit(&layer, 5, |_, tags| tags.record_usage(Usage::tokens(2_006, 300).of("openai", "gpt-4o")));
    assert!(sink.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    assert_eq!(number(&path, "SELECT sum(input_tokens) FROM tagging_events WHERE model = 'gpt-4o'"), 10_030);
    assert_eq!(texts(&path, "PRAGMA journal_mode"), ["wal"]);
}

/// Events stay in the queue until the tables exist again.
#[cfg(unix)]
#[test]
fn recovers_after_the_file_is_removed() {
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
        assert!(Instant::now() < deadline, "the sink stays healthy");
        thread::sleep(Duration::from_millis(1));
    }
    store.migrate().unwrap();
    let report = Sink::delivery(&sink).shutdown_blocking(Duration::from_secs(20));
    assert!(report.is_complete(), "{report}");
    let count: u32 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM tagging_events", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1, "the event after the removal");
}
