//! Tests of `PostgresStore` with a real Postgres server, which `tests/run.sh` starts.

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
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use events::{call, distinct, event_at, expected, hostile_events, router};
use queries::Rows;
use serde_json::Value;
use store_suite::TestStore;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};
use tower_tagging::{
    Event, EventLayer, Sink,
    sink::{BatchWriter, MockSink, WriteErrorKind},
    sources::KeyCase,
    store::{EventRow, KeyInfo, PostgresStore, StoreError},
    usage::{Cost, ExtraCost, Money, PriceQuery, Usage, UsageTap, price_fn},
};
use uuid::Uuid;

/// The database of one test.
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

    /// Creates a database and its tables.
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
        usize::try_from(self.number("SELECT count(*) FROM tagging_events").await).unwrap()
    }

    /// Returns all rows as lines, with columns separated by spaces.
    async fn lines(&self, sql: &str) -> Vec<String> {
        let line = |row: Vec<Option<String>>| {
            let columns = row.into_iter().map(|value| value.unwrap_or_else(|| "NULL".to_owned()));
            columns.collect::<Vec<_>>().join(" ")
        };
        self.rows(sql).await.into_iter().map(line).collect()
    }

    /// Returns all rows as text.
    async fn rows(&self, sql: &str) -> Rows {
        let rows = self.client.simple_query(sql).await.unwrap();
        let rows = rows.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        });
        rows.collect()
    }

    /// Returns the row of an event in the form of [`expected`].
    async fn row(&self, event: &Event) -> Value {
        let time =
            |name: &str| format!("'{name}', to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
        let sql = format!(
            "SELECT to_jsonb(request) || jsonb_build_object({}, {}) FROM tagging_events AS request WHERE id = $1",
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
    keys.iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no {name} in {keys:?}"))
}

/// A store with its own database and runtime.
struct TestDatabase {
    runtime: Runtime,
    database: Database,
    store: PostgresStore,
}

fn open_with(name: &str, configure: impl Fn(PostgresStore) -> PostgresStore) -> TestDatabase {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::new(name));
    let store = configure(database.store().active_keys(Vec::<String>::new()));
    runtime.block_on(store.migrate()).unwrap();
    TestDatabase { runtime, database, store }
}

impl TestStore for TestDatabase {
    fn writer(&self) -> Box<dyn BatchWriter> {
        Box::new(self.store.writer())
    }

    fn event(&self, id: Uuid) -> Option<EventRow> {
        self.runtime.block_on(self.store.event(id)).unwrap()
    }

    fn latest(&self, limit: u32) -> Vec<EventRow> {
        self.runtime.block_on(self.store.latest(limit)).unwrap()
    }

    fn set_active(&self, key: &str, is_active: bool) -> Result<(), StoreError> {
        self.runtime.block_on(async {
            if is_active { self.store.activate_key(key).await } else { self.store.deactivate_key(key).await }
        })
    }

    fn list_keys(&self) -> Vec<KeyInfo> {
        self.runtime.block_on(self.store.list_keys()).unwrap()
    }

    fn delete_before(&self, time: SystemTime) -> u64 {
        self.runtime.block_on(self.store.delete_before(time)).unwrap()
    }
}

mod one_table {
    fn open(name: &str) -> super::TestDatabase {
        super::open_with(name, |store| store)
    }

    store_suite!([ignore = "needs Postgres: run by tests/run.sh"], open);
}

mod monthly_partitions {
    fn open(name: &str) -> super::TestDatabase {
        super::open_with(&format!("monthly_{name}"), tower_tagging::store::PostgresStore::monthly_partitions)
    }

    store_suite!([ignore = "needs Postgres: run by tests/run.sh"], open);
}

#[test]
#[ignore = "needs Postgres: run by tests/run.sh"]
fn stores_each_column() {
    let TestDatabase { runtime, database, store } = open_with("columns", |store| store);
    let events = events::varied_events();
    write(&store, &events);
    for event in events {
        assert_eq!(runtime.block_on(database.row(&event)), expected(&event));
    }
}

#[test]
#[ignore = "needs Postgres: run by tests/run.sh"]
fn answers_the_documented_queries() {
    for store in [|store| store, PostgresStore::monthly_partitions] {
        let TestDatabase { runtime, database, store } = open_with("queries", store);
        runtime.block_on(store.activate_key("Feature")).unwrap();
        write(&store, &queries::spending_events());
        queries::check("Postgres", |sql| runtime.block_on(database.rows(sql)));
    }
}

#[test]
#[ignore = "needs Postgres: run by tests/run.sh"]
fn answers_the_questions_of_the_use_cases() {
    use_cases::check(|events, sql| {
        let TestDatabase { runtime, database, store } = open_with("use_cases", |store| store);
        write(&store, events);
        runtime.block_on(database.rows(sql))
    });
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn stores_money_exactly() {
    let (database, store) = Database::migrated("money").await;
    let amounts: Vec<u64> = (0..16).map(|power| 10_u64.pow(power)).chain([0, 1_234_567_890_123, 90_000]).collect();
    let events = events::events(amounts.len(), |number, tags| {
        tags.record_cost(ExtraCost::new(Money::from_nano_usd(amounts[number])));
    });
    write(&store, &events);
    let stored = "SELECT total_cost_nanos, trim_scale(total_cost), scale(total_cost) FROM tagging_events ORDER BY id";
    let mut in_order: Vec<_> = events.iter().map(|event| (event.id(), event.llm().unwrap().cost().unwrap())).collect();
    in_order.sort();
    let expected: Vec<String> = in_order.iter().map(|(_, cost)| format!("{} {cost} 9", cost.nano_usd())).collect();
    assert_eq!(database.lines(stored).await, expected);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn writes_to_older_tables_are_retried() {
    for store in [|store| store, PostgresStore::monthly_partitions] {
        let database = Database::new("older").await;
        let store = store(database.store());
        store.migrate().await.unwrap();
        database.client.batch_execute("ALTER TABLE tagging_events DROP COLUMN limit_rule CASCADE").await.unwrap();
        let error = store.writer().write(&events::events(1, |_, _| {})).unwrap_err();
        assert_eq!(error.kind(), WriteErrorKind::Retryable);
        assert!(error.to_string().ends_with("missing or of an older version: run migrate()"), "{error}");
        assert!(matches!(store.latest(1).await, Err(StoreError::NotMigrated)));
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn replicas_migrate_at_the_same_time() {
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
        assert_eq!(database.lines("SELECT version FROM tagging_migrations ORDER BY 1").await, ["1"]);
        database.client.execute("INSERT INTO tagging_migrations (version) VALUES (99)", &[]).await.unwrap();
        let error = store.migrate().await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, known: 1, .. }), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn retries_errors_that_an_operator_can_fix() {
    let database = Database::new("mend").await;
    let store = database.store();
    let events = events::events(3, |_, _| {});
    let mut writer = store.writer();
    let error = writer.write(&events).unwrap_err();
    assert_eq!((error.kind(), error.written()), (WriteErrorKind::Retryable, 0));
    assert!(
        error.to_string().ends_with("the table tagging_events is missing or of an older version: run migrate()"),
        "{error}"
    );
    assert!(matches!(store.list_keys().await, Err(StoreError::NotMigrated)));
    assert!(matches!(store.activate_key("team").await, Err(StoreError::NotMigrated)));
    assert!(matches!(store.delete_before(SystemTime::now()).await, Err(StoreError::NotMigrated)));
    store.migrate().await.unwrap();
    writer.write(&events).unwrap();
    assert_eq!(database.count().await, 3);

    // Without a server.
    let unreachable = PostgresStore::from_url("postgres://nobody@127.0.0.1:1/none").unwrap();
    let error = unreachable.writer().write(&events).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable, "{error}");
    let target = "cannot write to Postgres at 127.0.0.1:1/none: error connecting to server: ";
    assert!(error.to_string().contains(target), "{error}");
    let error = PostgresStore::from_url("nonsense://").unwrap_err();
    assert!(matches!(error, StoreError::Database { .. }), "{error}");
    assert!(error.to_string().starts_with("cannot read the Postgres URL: "), "{error}");
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn rejects_events_that_cannot_be_stored() {
    let (database, store) = Database::migrated("rejected").await;
    database.client.batch_execute("ALTER TABLE tagging_events ADD CHECK (error_message <> 'bad')").await.unwrap();
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
async fn stores_no_event_if_the_type_of_a_column_was_changed() {
    for (column, kind, expected) in [
        ("status_code", "bigint", WriteErrorKind::Retryable),
        ("status_code", "smallint", WriteErrorKind::Rejected),
        ("response_bytes", "integer", WriteErrorKind::Rejected),
        ("request_path", "varchar(1)", WriteErrorKind::Rejected),
        ("raw_metadata", "json", WriteErrorKind::Rejected),
        ("requested_at", "date", WriteErrorKind::Rejected),
    ] {
        let (database, store) = Database::migrated("retyped").await;
        let change = format!("DROP VIEW llm_requests; ALTER TABLE tagging_events ALTER {column} TYPE {kind}");
        database.client.batch_execute(&change).await.unwrap();
        let result = store.writer().write(&events::events(3, |_, tags| tags.insert("team", "a")));
        let error = result.expect_err(&format!("{column} {kind}"));
        assert_eq!((error.kind(), error.written()), (expected, 0), "{column} {kind}: {error}");
        assert_eq!(database.count().await, 0);
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn finds_activated_keys_by_the_index() {
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
        for name in ["Feature", "Unique", "it's \"hostile\"", "never seen", "'; DROP TABLE tagging_events; --"] {
            store.activate_key(name).await.unwrap();
            store.activate_key(name).await.unwrap();
        }
        // The writer indexes new events as well.
        write(&store, &events::events(1_000, tags));
        let query = r#"SELECT COUNT(*), SUM(total_cost) FROM tagging_events WHERE indexed_metadata @> '{"Feature": "document-review"}'"#;
        assert_eq!(database.lines(query).await, ["21 NULL"]);
        let whole = r#"SELECT count(*) FROM tagging_events WHERE indexed_metadata = '{"Feature": "document-review", "Unique": "0", "it''s \"hostile\"": "yes"}'"#;
        assert_eq!(database.number(whole).await, 2);

        database.client.batch_execute("ANALYZE tagging_events").await.unwrap();
        let plan = database.lines(&format!("EXPLAIN {query}")).await.join("\n");
        println!("{plan}");
        assert!(
            plan.contains("Bitmap Index Scan on tagging_events_") && plan.contains("indexed_metadata_idx")
                || plan.contains("Bitmap Index Scan on tagging_events_indexed_metadata"),
            "{plan}"
        );

        let documented = queries::query("Postgres", "One feature, by the index");
        let plan = database.lines(&format!("EXPLAIN {documented}")).await.join("\n");
        assert!(plan.contains("indexed_metadata @> "), "the view hides the column: {plan}");
        assert!(plan.contains("Bitmap Index Scan on tagging_events_"), "{plan}");

        let keys = store.list_keys().await.unwrap();
        assert!(key(&keys, "Feature").is_active);
        let unseen = key(&keys, "never seen");
        assert_eq!((unseen.requests, unseen.last_seen, unseen.distinct_values), (0, None, 0));
        for key in keys {
            store.deactivate_key(&key.name).await.unwrap();
        }
        assert_eq!(database.number("SELECT count(indexed_metadata) FROM tagging_events").await, 0);
        write(&store, &events::events(10, tags));
        assert_eq!(database.number("SELECT count(indexed_metadata) FROM tagging_events").await, 0);
        assert!(matches!(store.activate_key(&"k".repeat(1025)).await, Err(StoreError::KeyTooLong)));
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn activation_under_load_loses_no_events() {
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
        println!("{count} written, longest write {longest:?}");
        written += count;
        assert!(longest < Duration::from_secs(3), "a writer waited for {longest:?}");
    }
    assert_eq!(database.count().await, written);
    let found = r#"SELECT count(*) FROM tagging_events WHERE indexed_metadata @> '{"Feature": "search"}'"#;
    assert_eq!(database.number(found).await, i64::try_from(written).unwrap());
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn replicas_count_the_same_keys() {
    let (_database, store) = Database::migrated("keys").await;
    let events = events::events(6_000, |number, tags| {
        tags.insert("user", format!("user-{number}"));
        tags.insert("team", ["growth", "search", "ads"][number % 3]);
    });
    let mut writers = [store.writer(), store.writer()];
    for (at, batch) in events.chunks(700).enumerate() {
        writers[at % 2].write(batch).unwrap();
    }
    // The writers store their counts even if no further events arrive.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let keys = store.list_keys().await.unwrap();
    drop(writers);
    assert_eq!(keys, store.list_keys().await.unwrap());
    assert_eq!(
        keys.iter().filter(|key| key.requests > 0).map(|key| key.name.as_str()).collect::<Vec<_>>(),
        ["team", "user"]
    );
    let (team, user) = (key(&keys, "team"), key(&keys, "user"));
    assert_eq!((team.requests, team.distinct_values, team.is_active), (6_000, 3, true));
    assert_eq!(user.requests, 6_000);
    assert!((5_400..6_600).contains(&user.distinct_values), "{user:?}");
    let last = events.iter().map(|event| event.time()).max().unwrap();
    assert!(last.duration_since(user.last_seen.unwrap()).unwrap() < Duration::from_micros(1));
}

fn day(days: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(60 * 60 * 24 * days)
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn deletes_many_events() {
    for partitioned in [false, true] {
        let database = Database::new("delete").await;
        let store = if partitioned { database.store().monthly_partitions() } else { database.store() };
        store.migrate().await.unwrap();
        let mut all = events::events(7_000, |_, _| {});
        all.extend((1..=65).map(|days| event_at(day(days), |_, _| {})));
        write(&store, &all);
        assert_eq!(database.count().await, 7_065);
        // March 2, 1970.
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
async fn stores_each_month_in_a_partition() {
    let database = Database::new("partitions").await;
    let store = database.store().monthly_partitions();
    store.migrate().await.unwrap();
    let partitions =
        "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'tagging_events'::regclass ORDER BY 1";
    assert!(database.lines(partitions).await.is_empty());
    // Replicas create the missing partitions at the same time.
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
    assert_eq!(names, ["tagging_events_y1970m01", "tagging_events_y1970m02", "tagging_events_y1970m03"]);
    assert_eq!(database.number("SELECT count(*) FROM tagging_events_y1970m01").await, 8);
    // The writer recreates the partition of a month that was dropped.
    let mut writer = store.writer();
    writer.write(&[event_at(day(0), |_, _| {})]).unwrap();
    assert_eq!(store.delete_before(day(40)).await.unwrap(), 17);
    assert_eq!(database.lines(partitions).await, ["tagging_events_y1970m02", "tagging_events_y1970m03"]);
    let late = [event_at(day(2), |_, _| {})];
    assert!(writer.write(&late).is_err());
    writer.write(&late).unwrap();
    writer.write(&late).unwrap();
    assert_eq!(database.count().await, 1);
    // The option only matters when the table is created.
    database.store().migrate().await.unwrap();
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn reuses_its_connection() {
    let (database, store) = Database::migrated("kept").await;
    let events = events::events(100, |_, tags| tags.insert("team", "growth"));
    let open = "SELECT pid::text FROM pg_stat_activity
                WHERE application_name = 'tower-tagging' AND datname = current_database()";
    // The server notices with a delay that the connection of the migration is closed.
    while !database.lines(open).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut writer = store.writer();
    let mut seen = BTreeSet::new();
    for batch in events.chunks(10) {
        writer.write(batch).unwrap();
        seen.extend(database.lines(open).await);
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(database.count().await, 100);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn reconnects_after_the_connection_is_closed() {
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
async fn times_out_if_the_server_does_not_respond() {
    let (database, store) = Database::migrated("locked").await;
    let store = store.write_timeout(Duration::from_millis(300));
    let events = events::events(10, |_, _| {});
    let mut writer = store.writer();
    database.client.batch_execute("BEGIN; LOCK TABLE tagging_events").await.unwrap();
    let start = Instant::now();
    let error = writer.write(&events).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable, "{error}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    database.client.batch_execute("COMMIT").await.unwrap();
    writer.write(&events).unwrap();
    assert_eq!(database.count().await, 10);

    // A server that accepts connections but never responds.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/none", listener.local_addr().unwrap());
    let silent = PostgresStore::from_url(&url).unwrap().connect_timeout(Duration::from_millis(200));
    let error = silent.writer().write(&events).unwrap_err();
    assert_eq!(error.kind(), WriteErrorKind::Retryable);
    assert!(error.to_string().ends_with("the database did not answer within 200ms"), "{error}");
    assert!(matches!(silent.migrate().await, Err(StoreError::TimedOut(_))));
}

/// The price book runs on the writer's thread. Its panic loses only the price.
#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn stores_events_even_if_the_price_book_panics() {
    let (database, store) = Database::migrated("panics").await;
    common::expect_panics("a price book");
    let sink = MockSink::new();
    let tap = UsageTap::new().prices(price_fn(|_: &PriceQuery<'_>| -> Option<Cost> { panic!("a price book") }));
    events::emit(&EventLayer::new(sink.clone()).usage(tap), 3, |_, tags| {
        tags.record_usage(Usage::tokens(1, 1).of("openai", "gpt-4o"));
    });
    write(&store, &sink.events());
    assert_eq!(database.number("SELECT count(*) FROM tagging_events WHERE total_cost IS NULL").await, 3);
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn hostile_values_do_not_affect_other_events() {
    for partitioned in [false, true] {
        let database = Database::new("hostile").await;
        let store = if partitioned { database.store().monthly_partitions() } else { database.store() };
        store.migrate().await.unwrap();
        store.activate_key("'); DROP TABLE tagging_events; --").await.unwrap();
        store.activate_key("ordinary").await.unwrap();
        let events = hostile_events();
        write(&store, &events);
        assert_eq!(database.count().await, distinct(&events));
        assert_eq!(
            database.lines("SELECT error_message FROM tagging_events WHERE error_message LIKE 'NUL%'").await,
            ["NUL \u{FFFD} in \u{FFFD} an error"]
        );
        assert_eq!(database.number("SELECT max(input_tokens) FROM tagging_events").await, 1_000_000_000_000);
        let times =
            "SELECT min(requested_at) AT TIME ZONE 'UTC', max(requested_at) AT TIME ZONE 'UTC' FROM tagging_events";
        assert_eq!(database.lines(times).await, ["1970-01-01 00:00:00 9999-12-31 23:59:59.999999"]);
        // RFC 3339 cannot express the time of some events, so they have no JSON.
        for event in events.iter().filter(|event| event.metadata().get("time").is_none()) {
            let (row, expected) = (database.row(event).await, expected(event));
            for column in ["trace_id", "request_path", "outcome"] {
                assert_eq!(row[column], expected[column]);
            }
            assert_eq!(row["raw_metadata"], expected["raw_metadata"]);
        }
        store.deactivate_key("'); DROP TABLE tagging_events; --").await.unwrap();
        let names: BTreeSet<_> = store.list_keys().await.unwrap().into_iter().map(|key| key.name).collect();
        assert!(names.len() > 4_000 && names.contains("ordinary"), "{}", names.len());
    }
}

#[tokio::test]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn queries_spend_in_both_key_cases() {
    for (key_case, feature, tenant) in [(KeyCase::Title, "Feature", "Tenant"), (KeyCase::Lower, "feature", "tenant")] {
        let (database, store) = Database::migrated("spend").await;
        let query = |section: &str| {
            let query = queries::query("Postgres", section);
            query.replace("'Feature'", &format!("'{feature}'")).replace("'Tenant'", &format!("'{tenant}'"))
        };
        let sink = store.sink();
        let router = router(sink.clone(), key_case);
        for name in ["search", "search", "chat"] {
            call(&router, &[("x-majordomo-feature", name), ("x-majordomo-tenant", "acme")]).await;
        }
        drop(router);
        let report = sink.delivery().shutdown(Duration::from_secs(10)).await;
        assert_eq!(report.sinks[0].delivered, 3);

        // In dollars per million: 86 input tokens at 2.50, 1,920 cached tokens at 1.25, and 300 output tokens at 10.
        let by_feature = database.lines(&query("By feature")).await;
        assert_eq!(by_feature, ["search 2 4012 600 0.011230000", "chat 1 2006 300 0.005615000"]);
        // The client chose the tenant, and the workspace has an `Env`.
        let trusted = query("By tenant, except where the client chose it");
        assert_eq!(database.lines(&trusted).await, [""; 0]);
        let by_env = trusted.replace(&format!("'{tenant}'"), "'Env'");
        assert_eq!(database.lines(&by_env).await, ["prod 3 0.016845000"]);
    }
}

/// The writer has its own runtime, so any thread can use and drop it.
#[test]
#[ignore = "needs Postgres: run by tests/run.sh"]
fn writes_without_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (database, store) = runtime.block_on(Database::migrated("runtime"));
    let mut writer = store.writer();
    writer.write(&events::events(3, |_, tags| tags.insert("team", "growth"))).unwrap();
    runtime.block_on(async move {
        writer.write(&events::events(3, |_, _| {})).unwrap();
        drop(writer);
    });
    assert_eq!(runtime.block_on(database.count()), 6);
    assert_eq!(key(&runtime.block_on(store.list_keys()).unwrap(), "team").requests, 3);
}
