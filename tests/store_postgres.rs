//! Events in Postgres, in a real server: `tests/run.sh` starts one.

mod common;
#[path = "common/events.rs"]
mod events;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use events::{call, distinct, event_at, expected, full_event, hostile_events, router};
use serde_json::Value;
use tokio_postgres::{Client, NoTls};
use tower_tagging::{
    Event, EventLayer, Sink,
    sink::{BatchWriter, MockSink, WriteErrorKind},
    sources::KeyCase,
    store::{KeyInfo, PostgresStore, StoreError},
    usage::{ExtraCost, Money, Usage, UsageTap, price_fn},
};

/// A database of its own for a test.
struct Database {
    url: String,
    client: Client,
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Database {
    async fn new(name: &str) -> Self {
        let server = std::env::var("DATABASE_URL").expect(
            "DATABASE_URL must name a Postgres server whose user may create databases: tests/run.sh starts one",
        );
        let name = format!("tower_tagging_{name}");
        let admin = connect(&server).await;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let (host, _) = server.rsplit_once('/').unwrap();
        let url = format!("{host}/{name}");
        Self { client: connect(&url).await, url }
    }

    /// With the tables.
    async fn migrated(name: &str) -> (Self, PostgresStore) {
        let database = Self::new(name).await;
        let store = database.store();
        store.migrate().await.unwrap();
        (database, store)
    }

    fn store(&self) -> PostgresStore {
        PostgresStore::from_url(&self.url).unwrap()
    }

    async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn count(&self) -> usize {
        usize::try_from(self.number("SELECT count(*) FROM llm_requests").await).unwrap()
    }

    /// All rows as lines, their columns apart by blanks.
    async fn lines(&self, sql: &str) -> Vec<String> {
        let rows = self.client.simple_query(sql).await.unwrap();
        let rows = rows.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                let columns = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL").to_owned());
                Some(columns.collect::<Vec<_>>().join(" "))
            }
            _ => None,
        });
        rows.collect()
    }

    /// The row of an event, in the form of [`expected`].
    async fn row(&self, event: &Event) -> Value {
        let time =
            |name: &str| format!("'{name}', to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
        let sql = format!(
            "SELECT to_jsonb(request) || jsonb_build_object({}, {}) FROM llm_requests AS request WHERE id = $1",
            time("requested_at"),
            time("responded_at")
        );
        self.client.query_one(&sql, &[&event.id()]).await.unwrap().get(0)
    }
}

fn write(store: &PostgresStore, events: &[Arc<Event>]) {
    store.writer().write(events).unwrap();
}

fn key<'a>(keys: &'a [KeyInfo], name: &str) -> &'a KeyInfo {
    keys.iter().find(|key| key.name() == name).unwrap_or_else(|| panic!("no {name} in {keys:?}"))
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn each_column_is_the_events() {
    let (database, store) = Database::migrated("columns").await;
    let full = full_event().await;
    assert!(full.llm().unwrap().cost().is_some() && full.diagnostics().len() == 1, "as much is known as can be");
    let plain = events::events(1, |_, tags| tags.set_error("no more")).remove(0);
    write(&store, &[Arc::clone(&full), Arc::clone(&plain)]);
    for event in [full, plain] {
        assert_eq!(database.row(&event).await, expected(&event));
    }
}

/// Money is exact, to the last nano-dollar.
#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn money_is_exact() {
    let (database, store) = Database::migrated("money").await;
    let amounts: Vec<u64> =
        (0..20).map(|power| 10_u64.pow(power)).chain([0, 1_234_567_890_123, 90_000, u64::MAX]).collect();
    let events = events::events(amounts.len(), |number, tags| {
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(amounts[number])));
    });
    write(&store, &events);
    let stored = database.lines("SELECT trim_scale(total_cost), scale(total_cost) FROM llm_requests ORDER BY id").await;
    let mut in_order = events.clone();
    in_order.sort_by_key(|event| event.id());
    let wanted: Vec<String> =
        in_order.iter().map(|event| format!("{} 9", event.llm().unwrap().cost().unwrap())).collect();
    assert_eq!(stored, wanted);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn an_event_is_stored_once() {
    let (database, store) = Database::migrated("once").await;
    let events = events::events(5_000, |_, tags| tags.insert("team", "growth"));
    let mut writer = store.writer();
    writer.write(&events[..4]).unwrap();
    writer.write(&events[..4]).unwrap();
    let twice: Vec<_> = events.iter().chain(&events).cloned().collect();
    writer.write(&twice).unwrap();
    drop(writer);
    assert_eq!(database.count().await, 5_000);
    assert_eq!(key(&store.list_keys().await.unwrap(), "team").requests(), 5_000);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn replicas_migrate_at_a_time() {
    for partitioned in [false, true] {
        let database = Database::new("migrate").await;
        let store = if partitioned { database.store().monthly_partitions() } else { database.store() };
        let replicas: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.migrate().await })
            })
            .collect();
        for replica in replicas {
            replica.await.unwrap().unwrap();
        }
        assert_eq!(database.lines("SELECT version FROM llm_requests_migrations ORDER BY 1").await, ["1", "2"]);
        database.client.execute("INSERT INTO llm_requests_migrations (version) VALUES (99)", &[]).await.unwrap();
        let error = store.migrate().await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, known: 2 }), "{error}");
    }
}

/// Tables of the first version get what they lack, and keep what they have.
#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn older_tables_are_brought_up() {
    let schema = include_str!("../src/store/postgres/schema_1.sql");
    for [primary_key, partition_by] in [["id", ""], ["id, requested_at", "PARTITION BY RANGE (requested_at)"]] {
        let database = Database::new("older").await;
        let schema = schema.replace("{primary_key}", primary_key).replace("{partition_by}", partition_by);
        database.client.batch_execute(&schema).await.unwrap();
        database
            .client
            .batch_execute(
                "CREATE TABLE llm_requests_migrations (version integer PRIMARY KEY, applied_at timestamptz DEFAULT now());
                 INSERT INTO llm_requests_migrations (version) VALUES (1)",
            )
            .await
            .unwrap();
        let is_partitioned = !partition_by.is_empty();
        let store = if is_partitioned { database.store().monthly_partitions() } else { database.store() };
        let events = events::events(1, |_, tags| tags.insert("team", "growth"));
        let error = store.writer().write(&events).unwrap_err();
        assert_eq!(error.kind(), WriteErrorKind::Retryable);
        assert!(error.to_string().ends_with("missing or of an older version: run migrate()"), "{error}");
        if is_partitioned {
            database
                .client
                .batch_execute(
                    "CREATE TABLE old PARTITION OF llm_requests FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')",
                )
                .await
                .unwrap();
        }
        database
            .client
            .batch_execute(
                "INSERT INTO llm_requests (id, requested_at, responded_at, response_time_ms, request_method, request_path,
                     outcome, response_bytes, trace_id, client_trace_id, span_id, raw_metadata, diagnostics)
                 VALUES (gen_random_uuid(), '2020-01-01', '2020-01-01', 0, 'GET', '/', 'completed', 0, '', '', '', '{}', '[]')",
            )
            .await
            .unwrap();
        store.migrate().await.unwrap();
        write(&store, &events);
        let sources = database.lines("SELECT metadata_sources FROM llm_requests ORDER BY requested_at").await;
        assert_eq!(sources, ["NULL", r#"{"team": "request"}"#]);
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn what_an_operator_can_mend_is_tried_again() {
    let database = Database::new("mend").await;
    let store = database.store();
    let events = events::events(3, |_, _| {});
    let mut writer = store.writer();
    let error = writer.write(&events).unwrap_err();
    assert_eq!((error.kind(), error.written()), (WriteErrorKind::Retryable, 0));
    assert!(
        error.to_string().ends_with("the table llm_requests is missing or of an older version: run migrate()"),
        "{error}"
    );
    assert!(matches!(store.list_keys().await, Err(StoreError::NotMigrated)));
    assert!(matches!(store.activate_key("team").await, Err(StoreError::NotMigrated)));
    assert!(matches!(store.delete_before(SystemTime::now()).await, Err(StoreError::NotMigrated)));
    store.migrate().await.unwrap();
    writer.write(&events).unwrap();
    assert_eq!(database.count().await, 3);

    // No server at all.
    let away = PostgresStore::from_url("postgres://nobody@127.0.0.1:1/none").unwrap();
    let error = away.writer().write(&events).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable, "{error}");
    assert!(error.to_string().contains("error connecting to server: "), "{error}");
    assert!(matches!(PostgresStore::from_url("nonsense://"), Err(StoreError::Database(_))));
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn what_can_not_be_stored_is_rejected() {
    let (database, store) = Database::migrated("rejected").await;
    database.client.batch_execute("ALTER TABLE llm_requests ADD CHECK (error_message <> 'bad')").await.unwrap();
    let events = events::events(3, |number, tags| {
        if number == 1 {
            tags.set_error("bad");
        }
    });
    let mut writer = store.writer();
    let error = writer.write(&events).unwrap_err();
    assert_eq!((error.kind(), error.written()), (WriteErrorKind::Rejected, 0), "{error}");
    assert_eq!(database.count().await, 0);
    writer.write(&[Arc::clone(&events[0]), Arc::clone(&events[2])]).unwrap();
    assert_eq!(database.count().await, 2);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn activated_keys_are_found_by_the_index() {
    for partitioned in [false, true] {
        let database = Database::new("activate").await;
        let store = if partitioned { database.store().monthly_partitions() } else { database.store() };
        store.migrate().await.unwrap();
        let tags = |number: usize, tags: &tower_tagging::Tags| {
            tags.insert("Feature", if number.is_multiple_of(1000) { "document-review" } else { "search" });
            tags.insert("Unique", number.to_string());
            tags.insert("it's \"hostile\"", "yes");
        };
        write(&store, &events::events(20_000, tags));
        for name in ["Feature", "Unique", "it's \"hostile\"", "never seen", "'; DROP TABLE llm_requests; --"] {
            store.activate_key(name).await.unwrap();
            store.activate_key(name).await.unwrap();
        }
        // The writer takes them up too.
        write(&store, &events::events(1_000, tags));
        let query = r#"SELECT COUNT(*), SUM(total_cost) FROM llm_requests WHERE indexed_metadata @> '{"Feature": "document-review"}'"#;
        assert_eq!(database.lines(query).await, ["21 NULL"]);
        let whole = r#"SELECT count(*) FROM llm_requests WHERE indexed_metadata = '{"Feature": "document-review", "Unique": "0", "it''s \"hostile\"": "yes"}'"#;
        assert_eq!(database.number(whole).await, 2);

        database.client.batch_execute("ANALYZE llm_requests").await.unwrap();
        let plan = database.lines(&format!("EXPLAIN {query}")).await.join("\n");
        println!("{plan}");
        assert!(
            plan.contains("Bitmap Index Scan on llm_requests_") && plan.contains("indexed_metadata_idx")
                || plan.contains("Bitmap Index Scan on llm_requests_indexed_metadata"),
            "{plan}"
        );

        let keys = store.list_keys().await.unwrap();
        assert!(key(&keys, "Feature").is_active());
        let unseen = key(&keys, "never seen");
        assert_eq!((unseen.requests(), unseen.last_seen(), unseen.distinct_values()), (0, None, 0));
        for key in keys {
            store.deactivate_key(key.name()).await.unwrap();
        }
        assert_eq!(database.number("SELECT count(indexed_metadata) FROM llm_requests").await, 0);
        write(&store, &events::events(10, tags));
        assert_eq!(database.number("SELECT count(indexed_metadata) FROM llm_requests").await, 0);
        assert!(matches!(store.activate_key(&"k".repeat(1025)).await, Err(StoreError::KeyTooLong)));
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn activation_under_load_loses_nothing() {
    let (database, store) = Database::migrated("load").await;
    let events = events::events(60_000, |_, tags| tags.insert("Feature", "search"));
    let stop = Arc::new(AtomicBool::new(false));
    // Two replicas.
    let replicas: Vec<_> = events
        .chunks(30_000)
        .map(|events| {
            let (stop, store, events) = (Arc::clone(&stop), store.clone(), events.to_vec());
            thread::spawn(move || {
                let mut writer = store.writer();
                let (mut written, mut longest) = (0, Duration::ZERO);
                for batch in events.chunks(200) {
                    let start = Instant::now();
                    writer.write(batch).unwrap();
                    longest = longest.max(start.elapsed());
                    written += batch.len();
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
                (written, longest)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    store.activate_key("Feature").await.unwrap();
    store.deactivate_key("Feature").await.unwrap();
    store.activate_key("Feature").await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for replica in replicas {
        let (count, longest) = replica.join().unwrap();
        println!("{count} written, the longest wait {longest:?}");
        written += count;
        assert!(longest < Duration::from_secs(3), "a writer waited for {longest:?}");
    }
    assert_eq!(database.count().await, written);
    let found = r#"SELECT count(*) FROM llm_requests WHERE indexed_metadata @> '{"Feature": "search"}'"#;
    assert_eq!(database.number(found).await, i64::try_from(written).unwrap());
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn keys_are_counted() {
    let (_database, store) = Database::migrated("keys").await;
    let events = events::events(6_000, |number, tags| {
        tags.insert("user", format!("user-{number}"));
        tags.insert("team", ["growth", "search", "ads"][number % 3]);
    });
    // Two replicas, which count the same keys.
    let mut writers = [store.writer(), store.writer()];
    for (at, batch) in events.chunks(700).enumerate() {
        writers[at % 2].write(batch).unwrap();
    }
    // They store what they counted by themselves, though no event comes.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let keys = store.list_keys().await.unwrap();
    drop(writers);
    assert_eq!(keys, store.list_keys().await.unwrap());
    assert_eq!(keys.iter().map(KeyInfo::name).collect::<Vec<_>>(), ["team", "user"]);
    let (team, user) = (key(&keys, "team"), key(&keys, "user"));
    assert_eq!((team.requests(), team.distinct_values(), team.is_active()), (6_000, 3, false));
    assert_eq!(user.requests(), 6_000);
    assert!((5_400..6_600).contains(&user.distinct_values()), "{user:?}");
    let last = events.iter().map(|event| event.time()).max().unwrap();
    assert!(last.duration_since(user.last_seen().unwrap()).unwrap() < Duration::from_micros(1));
}

fn day(days: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(60 * 60 * 24 * days)
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn old_events_are_deleted() {
    for partitioned in [false, true] {
        let database = Database::new("delete").await;
        let store = if partitioned { database.store().monthly_partitions() } else { database.store() };
        store.migrate().await.unwrap();
        let mut all = events::events(7_000, |_, _| {});
        all.extend((1..=65).map(|days| event_at(day(days), |_, _| {})));
        write(&store, &all);
        assert_eq!(database.count().await, 7_065);
        // The second of March 1970.
        assert_eq!(store.delete_before(day(60)).await.unwrap(), 59);
        assert_eq!(store.delete_before(day(60)).await.unwrap(), 0);
        assert_eq!(store.delete_before(SystemTime::UNIX_EPOCH - day(9).elapsed().unwrap()).await.unwrap(), 0);
        let far = SystemTime::now() + Duration::from_secs(1 << 40);
        assert_eq!(store.delete_before(far).await.unwrap(), 7_006);
        assert_eq!(database.count().await, 0);
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn months_are_partitions() {
    let database = Database::new("partitions").await;
    let store = database.store().monthly_partitions();
    store.migrate().await.unwrap();
    let partitions = "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'llm_requests'::regclass ORDER BY 1";
    assert!(database.lines(partitions).await.is_empty());
    // Replicas find out at the same time that they are missing.
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            thread::spawn(move || write(&store, &[event_at(day(30), |_, _| {}), event_at(day(31), |_, _| {})]))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut names = database.lines(partitions).await;
    names.sort();
    assert_eq!(names, ["llm_requests_y1970m01", "llm_requests_y1970m02", "llm_requests_y1970m03"]);
    assert_eq!(database.number("SELECT count(*) FROM llm_requests_y1970m01").await, 8);
    // A month that was dropped is made anew.
    let mut writer = store.writer();
    writer.write(&[event_at(day(0), |_, _| {})]).unwrap();
    assert_eq!(store.delete_before(day(40)).await.unwrap(), 17);
    assert_eq!(database.lines(partitions).await, ["llm_requests_y1970m02", "llm_requests_y1970m03"]);
    let late = [event_at(day(2), |_, _| {})];
    assert!(writer.write(&late).is_err());
    writer.write(&late).unwrap();
    writer.write(&late).unwrap();
    assert_eq!(database.count().await, 1);
    // The option counts when the table is made: the writer asks the table.
    database.store().migrate().await.unwrap();
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn a_connection_is_kept() {
    let (database, store) = Database::migrated("kept").await;
    let events = events::events(100, |_, tags| tags.insert("team", "growth"));
    let mut writer = store.writer();
    let mut seen = BTreeSet::new();
    for batch in events.chunks(10) {
        writer.write(batch).unwrap();
        let open = "SELECT pid::text FROM pg_stat_activity
                    WHERE application_name = 'tower-tagging' AND datname = current_database()";
        seen.extend(database.lines(open).await);
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(database.count().await, 100);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn a_cut_connection_is_opened_again() {
    let (database, store) = Database::migrated("cut").await;
    let events = events::events(100, |_, tags| tags.insert("team", "growth"));
    let mut writer = store.writer();
    let mut failed = 0;
    for batch in events.chunks(10) {
        if let Err(error) = writer.write(batch) {
            assert_eq!(error.kind(), WriteErrorKind::Retryable, "{error}");
            failed += 1;
            writer.write(batch).unwrap();
        }
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE application_name = 'tower-tagging' AND datname = current_database()";
        assert!(database.number(cut).await >= 1);
    }
    drop(writer);
    println!("{failed} of 10 attempts failed");
    assert_eq!(database.count().await, 100);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn a_server_that_does_not_answer_is_left() {
    let (database, store) = Database::migrated("locked").await;
    let store = store.write_timeout(Duration::from_millis(300));
    let events = events::events(10, |_, _| {});
    let mut writer = store.writer();
    database.client.batch_execute("BEGIN; LOCK TABLE llm_requests").await.unwrap();
    let start = Instant::now();
    let error = writer.write(&events).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable, "{error}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    database.client.batch_execute("COMMIT").await.unwrap();
    writer.write(&events).unwrap();
    assert_eq!(database.count().await, 10);

    // One that takes connections, and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/none", listener.local_addr().unwrap());
    let silent = PostgresStore::from_url(&url).unwrap().connect_timeout(Duration::from_millis(200));
    let error = silent.writer().write(&events).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable);
    assert!(error.to_string().ends_with("the database did not answer within 200ms"), "{error}");
    assert!(matches!(silent.migrate().await, Err(StoreError::TimedOut(_))));
}

/// A price book that panics runs on the writer's thread, and costs nothing but the price.
#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn a_price_book_that_panics_costs_no_event() {
    let (database, store) = Database::migrated("panics").await;
    common::expect_panics("a price book");
    let sink = MockSink::new();
    let tap = UsageTap::new().prices(price_fn(|_| panic!("a price book")));
    events::emit(&EventLayer::new(sink.clone()).usage(tap), 3, |_, tags| {
        tags.record_usage(Usage::tokens(1, 1).of("openai", "gpt-4o"));
    });
    write(&store, &sink.events());
    assert_eq!(database.number("SELECT count(*) FROM llm_requests WHERE total_cost IS NULL").await, 3);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn hostile_values_cost_no_other_event() {
    for partitioned in [false, true] {
        let database = Database::new("hostile").await;
        let store = if partitioned { database.store().monthly_partitions() } else { database.store() };
        store.migrate().await.unwrap();
        store.activate_key("'); DROP TABLE llm_requests; --").await.unwrap();
        store.activate_key("ordinary").await.unwrap();
        let events = hostile_events();
        write(&store, &events);
        assert_eq!(database.count().await, distinct(&events));
        assert_eq!(
            database.lines("SELECT error_message FROM llm_requests WHERE error_message LIKE 'NUL%'").await,
            ["NUL \u{FFFD} in \u{FFFD} an error"]
        );
        assert_eq!(database.number("SELECT max(input_tokens) FROM llm_requests").await, i64::MAX);
        let times =
            "SELECT min(requested_at) AT TIME ZONE 'UTC', max(requested_at) AT TIME ZONE 'UTC' FROM llm_requests";
        assert_eq!(database.lines(times).await, ["1970-01-01 00:00:00 9999-12-31 23:59:59.999999"]);
        // What is stored is what the event says, but for NUL and numbers that are too large.
        // (An absurd time is no RFC 3339, so such an event is no JSON.)
        for event in events.iter().filter(|event| event.metadata().get("time").is_none()) {
            let (row, expected) = (database.row(event).await, expected(event));
            for column in ["trace_id", "request_path", "outcome"] {
                assert_eq!(row[column], expected[column]);
            }
            assert_eq!(row["raw_metadata"], expected["raw_metadata"], "tags hold no NUL");
        }
        store.deactivate_key("'); DROP TABLE llm_requests; --").await.unwrap();
        let names: BTreeSet<_> =
            store.list_keys().await.unwrap().into_iter().map(|key| key.name().to_owned()).collect();
        assert!(names.len() > 4_000 && names.contains("ordinary"), "{}", names.len());
    }
}

/// The README's query for Postgres of this name, word for word, with the keys as an sources writes them.
fn query(name: &str, key_case: KeyCase) -> String {
    let readme = include_str!("../README.md");
    let after = readme.split_once(&format!("-- {name}\n")).unwrap_or_else(|| panic!("the README has no {name:?}")).1;
    let query = after.split_once(';').unwrap().0;
    [("feature", "Feature"), ("team", "Team"), ("tenant", "Tenant"), ("_user", "User-Id")].iter().fold(
        query.to_owned(),
        |query, (key, title)| {
            let written = if key_case == KeyCase::Title { (*title).to_owned() } else { title.to_lowercase() };
            query
                .replace(&format!("'{key}'"), &format!("'{written}'"))
                .replace(&format!("\"{key}\""), &format!("\"{written}\""))
        },
    )
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn spend_is_queried_in_both_cases() {
    for key_case in [KeyCase::Title, KeyCase::Lower] {
        let (database, store) = Database::migrated("spend").await;
        let query = |name: &str| query(name, key_case);
        store.activate_key(if key_case == KeyCase::Title { "Feature" } else { "feature" }).await.unwrap();
        let sink = store.sink();
        let router = router(sink.clone(), key_case);
        for (feature, team, user) in [
            ("document-review", "growth", "ada"),
            ("document-review", "growth", "grace"),
            ("document-review", "ads", "ada"),
            ("search", "ads", "ada"),
        ] {
            let who = [("x-majordomo-tenant", "acme"), ("x-majordomo-team", team), ("x-majordomo-user-id", user)];
            call(&router, &[&who[..], &[("x-majordomo-feature", feature)]].concat()).await;
        }
        drop(router);
        let report = sink.delivery().shutdown(Duration::from_secs(10)).await;
        assert_eq!(report.sinks[0].delivered, 4);

        // 86 tokens of fresh input at 2.50 dollars a million, 1,920 cached at half of it, 300 of output at 10.
        let cost = |calls: u64| format!("{:.9}", f64::from(u32::try_from(calls).unwrap()) * 0.005_615);
        let (one, two, three) = (cost(1), cost(2), cost(3));
        assert_eq!(
            database.lines(&query("by feature")).await,
            [format!("document-review 3 6018 900 {three}"), format!("search 1 2006 300 {one}")]
        );
        let month = database.lines("SELECT date_trunc('month', now())").await.remove(0);
        let by_team = database.lines(&query("by team and month")).await;
        assert_eq!(by_team.len(), 2);
        assert!(
            by_team.contains(&format!("growth {month} {two}")) && by_team.contains(&format!("ads {month} {two}")),
            "{by_team:?}"
        );
        let day = database.lines("SELECT now()::date").await.remove(0);
        let by_tenant = database.lines(&query("by tenant and day")).await;
        assert_eq!(by_tenant, [format!("acme {day} {}", cost(4))]);
        // The tenant is what the client says; the workspace has an `Env`.
        let vouched = query("by tenant, where code of yours said who it is and not the client");
        assert_eq!(database.lines(&vouched).await, [""; 0]);
        let of_env = vouched.replace("'tenant'", "'Env'").replace("'Tenant'", "'Env'");
        assert_eq!(database.lines(&of_env).await, [format!("prod 4 {}", cost(4))]);
        // Recorded by hand, without a price: it is a row like any other, and what has no cost comes last.
        write(&store, &events::events(1, |_, tags| tags.record_usage(Usage::tokens(7, 1).of("nobody", "unpriced"))));
        let by_model = database.lines(&query("by model")).await;
        assert!(by_model[0].starts_with(&format!("gpt-4o-2024-08-06 4 {} ", cost(4))), "{by_model:?}");
        assert!(by_model[1].starts_with("unpriced 1 NULL "), "{by_model:?}");
        assert_eq!(database.lines(&query("top spenders")).await, [format!("ada 3 {three}"), format!("grace 1 {one}")]);
        assert_eq!(database.lines(&query("by the index, once the key is activated")).await, [format!("3 {three}")]);
    }
}

/// The writer has a runtime of its own: it works on any thread, and is dropped on any.
#[test]
#[ignore = "needs Postgres: run by tests/run.sh"]
fn a_writer_needs_no_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (database, store) = runtime.block_on(Database::migrated("runtime"));
    let mut writer = store.writer();
    writer.write(&events::events(3, |_, tags| tags.insert("team", "growth"))).unwrap();
    runtime.block_on(async move {
        writer.write(&events::events(3, |_, _| {})).unwrap();
        drop(writer);
    });
    assert_eq!(runtime.block_on(database.count()), 6);
    assert_eq!(key(&runtime.block_on(store.list_keys()).unwrap(), "team").requests(), 3);
}
