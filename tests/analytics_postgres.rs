//! Tests of analytics over a real Postgres server, which `tests/run.sh` starts.

#[path = "common/analytics_checks.rs"]
mod analytics_checks;
#[path = "common/analytics_suite.rs"]
mod analytics_suite;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use analytics_suite::{START, time};
use tokio_postgres::NoTls;
use tower_tagging::{
    Event, Metadata, Scope,
    analytics::{
        Analytics, Dimension, Field, Filter, Grant, Measure, Query, QueryError, Retention, RowQuery, TimeRange, api,
    },
    sink::{BatchWriter, WriteError},
    store::PostgresStore,
};

/// Creates an empty database with our tables.
async fn open(name: &str, configure: impl Fn(PostgresStore) -> PostgresStore) -> PostgresStore {
    open_with_url(name, configure).await.0
}

async fn open_with_url(name: &str, configure: impl Fn(PostgresStore) -> PostgresStore) -> (PostgresStore, String) {
    let server = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a Postgres server whose user may create databases: tests/run.sh starts one");
    let name = format!("tower_tagging_analytics_{name}");
    let (admin, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (host, _) = server.rsplit_once('/').unwrap();
    let url = format!("{host}/{name}");
    let store = configure(PostgresStore::from_url(&url).unwrap());
    store.migrate().await.unwrap();
    (store, url)
}

/// Calls a check with a writer, which blocks.
macro_rules! check {
    ($name:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
        #[ignore = "needs Postgres: run by tests/run.sh"]
        async fn $name() {
            let store = open(stringify!($name), |store| store).await;
            let mut writer = Blocking(Box::new(store.writer()));
            analytics_checks::$name(&Analytics::new(store), &mut writer).await;
            writer.close();
        }
    };
}

/// A writer that may be used and dropped in async code.
struct Blocking(Box<dyn BatchWriter>);

impl Blocking {
    fn close(self) {
        tokio::task::block_in_place(|| drop(self));
    }
}

impl BatchWriter for Blocking {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        tokio::task::block_in_place(|| self.0.write(events))
    }
}

/// `ANALYTICS_SEEDS` sets the number of random runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn answers_as_the_memory_store_does() {
    let seeds = std::env::var("ANALYTICS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3);
    for seed in 100..100 + seeds {
        let configure = |store: PostgresStore| if seed % 2 == 1 { store.monthly_partitions() } else { store };
        let store = open(&format!("seed_{seed}"), configure).await;
        let writers = store.clone();
        println!("seed {seed}");
        analytics_suite::run(seed, Analytics::new(store), || Box::new(writers.writer())).await;
    }
}

check!(days_are_correct_in_each_zone);
check!(extreme_values_are_stored_and_summed);
check!(requests_of_distant_times_are_summed);
check!(totals_agree_after_rows_are_deleted);
check!(hostile_keys_and_values_are_only_values);

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn totals_agree_while_keys_are_activated() {
    let store = open("activated", |store| store).await;
    let writers: Vec<Box<dyn BatchWriter>> = (0..3).map(|_| Box::new(store.writer()) as _).collect();
    analytics_checks::totals_agree_while_keys_are_activated(&Analytics::new(store), writers, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn a_rebuild_loses_nothing_while_rows_are_deleted() {
    let (store, url) = open_with_url("rebuild", |store| store).await;
    let mut writer = Blocking(Box::new(store.writer()));
    let event = |hours: u64| Arc::new(Event::builder().time(time(START + hours * 3_600)).build());
    writer.write(&(0..100).map(event).collect::<Vec<_>>()).unwrap();
    writer.close();
    let analytics = Analytics::new(store.clone());
    let year = TimeRange::parse("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "UTC").unwrap();
    // Another connection holds the rebuild at its first deletion.
    let (raw, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    // Within a transaction, the list of connections would not change.
    let (observer, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    raw.batch_execute("BEGIN; SELECT 1 FROM tagging_rollups FOR UPDATE").await.unwrap();
    let (other, range) = (analytics.clone(), year.clone());
    let rebuild = tokio::spawn(async move { other.rebuild(&range).await });
    waits_for_a_lock(&observer, 1).await;
    let deletion = tokio::spawn(async move { store.delete_before(time(START + 300 * 86_400)).await });
    waits_for_a_lock(&observer, 2).await;
    raw.batch_execute("ROLLBACK").await.unwrap();
    rebuild.await.unwrap().unwrap();
    assert_eq!(deletion.await.unwrap().unwrap(), 100);
    let total = analytics.run(&Query::new(year), &Grant::everything()).await.unwrap();
    assert_eq!(total.total.totals.requests, 100);
}

/// Another replica may deactivate a key after an activation began.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn an_activation_adds_to_no_sums_that_a_deactivation_has_left() {
    let (store, url) = open_with_url("reactivated", |store| store).await;
    let mut writer = Blocking(Box::new(store.writer()));
    let event = |hours: u64| Arc::new(Event::builder().time(time(START + hours * 3_600)).host("h").build());
    writer.write(&(0..100).map(event).collect::<Vec<_>>()).unwrap();
    writer.close();
    let analytics = Analytics::new(store);
    let (host, model) = (Dimension::from(Field::Host), Dimension::from(Field::Model));
    analytics.activate_pair(host.clone(), model.clone()).await.unwrap();
    let (other, observer) = (Observer::of(&url).await, Observer::of(&url).await);
    other.0.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1952907265)").await.unwrap();
    let (again, pair) = (analytics.clone(), (host.clone(), model.clone()));
    let activation = tokio::spawn(async move { again.activate_pair(pair.0, pair.1).await });
    waits_for_a_lock(&observer.0, 1).await;
    let changed = other.0.execute("UPDATE tagging_subjects SET live = -1 WHERE second <> ''", &[]).await.unwrap();
    assert_eq!(changed, 1);
    other.0.batch_execute("COMMIT").await.unwrap();
    activation.await.unwrap().unwrap();
    let answer = analytics.run(&year().group_by(host).group_by(model), &Grant::everything()).await.unwrap();
    assert_eq!((answer.basis.rows_read, answer.groups[0].cell.totals.requests), (0, 100));
}

/// Waits until a number of connections to the database wait for locks.
async fn waits_for_a_lock(client: &tokio_postgres::Client, count: i64) {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while client.query_one(query, &[]).await.unwrap().get::<_, i64>(0) < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns a query that answers with the number of requests of a year.
fn year() -> Query {
    let year = TimeRange::parse("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "UTC").unwrap();
    Query::new(year).measure(Measure::Requests)
}

/// Observes the connections of a store, except its own.
struct Observer(tokio_postgres::Client);

impl Observer {
    async fn of(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    /// Returns the process ids of the connections in a state.
    async fn connections(&self, condition: &str) -> Vec<i32> {
        let select = format!(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'tower-tagging' AND {condition} ORDER BY pid"
        );
        self.0.query(&select, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// Waits until there are as many connections in a state.
    async fn wait_for(&self, count: usize, condition: &str) {
        let wait = async {
            while self.connections(condition).await.len() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn queries_share_few_connections() {
    let (store, url) = open_with_url("shared", |store| store).await;
    let analytics = Analytics::new(store);
    let observer = Observer::of(&url).await;
    observer.wait_for(0, "true").await;
    for _ in 0..3 {
        analytics.run(&year(), &Grant::everything()).await.unwrap();
    }
    let first = observer.connections("true").await;
    assert_eq!(first.len(), 1);
    let many = (0..40).map(|_| {
        let analytics = analytics.clone();
        tokio::spawn(async move { analytics.run(&year(), &Grant::everything()).await.unwrap() })
    });
    for query in many.collect::<Vec<_>>() {
        assert_eq!(query.await.unwrap().total.totals.requests, 0);
    }
    let open = observer.connections("true").await;
    assert!(open.len() <= 8 && open.contains(&first[0]), "{open:?}");
    // A restart of the server closes the connections.
    observer.0.batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tower-tagging' AND datname = current_database()").await.unwrap();
    analytics.run(&year(), &Grant::everything()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn a_cancelled_query_leaves_no_transaction() {
    let (store, url) = open_with_url("cancelled", |store| store).await;
    let analytics = Analytics::new(store);
    let observer = Observer::of(&url).await;
    analytics.run(&year(), &Grant::everything()).await.unwrap();
    let locker = Observer::of(&url).await;
    locker.0.batch_execute("BEGIN; LOCK TABLE tagging_rollups IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let queries: Vec<_> = (0..8)
        .map(|_| {
            let analytics = analytics.clone();
            tokio::spawn(async move { analytics.run(&year(), &Grant::everything()).await })
        })
        .collect();
    observer.wait_for(8, "wait_event_type = 'Lock'").await;
    queries.iter().for_each(tokio::task::JoinHandle::abort);
    for query in queries {
        assert!(query.await.unwrap_err().is_cancelled());
    }
    locker.0.batch_execute("ROLLBACK").await.unwrap();
    observer.wait_for(0, "true").await;
    assert_eq!(analytics.run(&year(), &Grant::everything()).await.unwrap().total.totals.requests, 0);
}

#[test]
#[ignore = "needs Postgres: run by tests/run.sh"]
fn a_store_is_used_by_one_runtime_after_the_other() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = async |analytics: &Analytics| analytics.run(&year(), &Grant::everything()).await.unwrap();
    let (first, second) = (runtime(), runtime());
    let analytics = first.block_on(async {
        let analytics = Analytics::new(open("runtimes", |store| store).await);
        ask(&analytics).await;
        analytics
    });
    // The first runtime exists, but does not run. Then it ends.
    second.block_on(ask(&analytics));
    drop(first);
    second.block_on(ask(&analytics));
    drop(second);
    runtime().block_on(ask(&analytics));
}

/// Maintenance, which may take minutes, has connections of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn queries_wait_for_a_connection_for_a_limited_time() {
    let limit = Duration::from_secs(2);
    let (store, url) = open_with_url("waiting", |store| store.connect_timeout(limit)).await;
    let analytics = Analytics::new(store);
    let (locker, observer) = (Observer::of(&url).await, Observer::of(&url).await);
    let start = |work: fn(Analytics) -> Work| {
        let works = (0..8).map(|_| tokio::spawn(work(analytics.clone())));
        works.collect::<Vec<_>>()
    };
    locker.0.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(1952907265)").await.unwrap();
    let maintenance =
        start(|analytics| Box::pin(async move { analytics.maintain(time(START), Retention::forever()).await }));
    observer.wait_for(8, "wait_event_type = 'Lock'").await;
    analytics.run(&year(), &Grant::everything()).await.unwrap();
    maintenance.iter().for_each(tokio::task::JoinHandle::abort);
    locker.0.batch_execute("ROLLBACK").await.unwrap();
    locker.0.batch_execute("BEGIN; LOCK TABLE tagging_rollups IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let queries =
        start(|analytics| Box::pin(async move { analytics.run(&year(), &Grant::everything()).await.map(drop) }));
    observer.wait_for(8, "wait_event_type = 'Lock'").await;
    let error = tokio::time::timeout(limit * 5, analytics.run(&year(), &Grant::everything())).await.unwrap();
    assert!(matches!(error, Err(QueryError::TimedOut(_))), "{error:?}");
    locker.0.batch_execute("ROLLBACK").await.unwrap();
    for work in queries {
        work.await.unwrap().unwrap();
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<(), QueryError>> + Send>>;

/// The feedback of a small workspace is found without reading that of all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn feedback_of_a_workspace_is_read_from_an_index() {
    let (store, url) = open_with_url("feedback", |store| store).await;
    let observer = Observer::of(&url).await;
    let insert = "INSERT INTO tagging_feedback
         SELECT gen_random_uuid(), 'trace', 1, 1000000, '{}', CASE WHEN n % 1000 = 0 THEN 'acme' ELSE 'globex' END, now()
         FROM generate_series(1, 20000) AS n; ANALYZE tagging_feedback";
    observer.0.batch_execute(insert).await.unwrap();
    let acme = Grant::only([Filter::is(Field::Workspace, "acme")]);
    Analytics::new(store).run(&year().measure(Measure::FeedbackScore), &acme).await.unwrap();
    // The server counts the uses when the connections are closed.
    let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'tagging_feedback_workspace'";
    let wait = async {
        while observer.0.query_one(scans, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

/// Partitions by month tell rows with the same id apart if their times differ. A log without a time has another one each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn a_log_that_is_sent_again_is_stored_once_in_monthly_partitions() {
    let store = open("log_partitions", PostgresStore::monthly_partitions).await;
    let access = |_: &http::request::Parts| Ok(Grant::everything());
    let app = api::router(Analytics::new(store.clone()), access);
    let log = r#"{"id": "one", "request": {"url": "/"}, "response": {}}"#;
    let send = |body: String| {
        let request = http::Request::post("/logs").body(axum::body::Body::from(body)).unwrap();
        async { assert_eq!(tower::ServiceExt::oneshot(app.clone(), request).await.unwrap().status(), 200) }
    };
    let ago = |hours: u64| humantime::format_rfc3339(SystemTime::now() - Duration::from_secs(3_600 * hours));
    let timed = |hours| log.replacen('{', &format!(r#"{{"created_at": "{}", "#, ago(hours)), 1);
    // At the same time, later, in a list, and with other times.
    tokio::join!(send(log.to_owned()), send(log.to_owned()), send(timed(1)));
    for body in [log.to_owned(), format!("[{log}, {log}]"), timed(2), timed(24 * 40)] {
        send(body).await;
    }
    assert_eq!(store.latest(10).await.unwrap().len(), 1);
}

/// Pages are read by time at first, and then by the index of tags.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn pages_have_the_same_requests_however_they_are_found() {
    const EVENTS: u64 = 66_000;
    let store = open("pages", |store| store).await;
    // Every second has two requests. Tags: on all, on all but the last 25,000, on three, on every thousandth, and on none.
    let has = |number: u64, team: &str| match team {
        "all" => true,
        "early" => number < EVENTS - 25_000,
        "few" => [5, 30_001, 65_999].contains(&number),
        "rare" => number % 1_000 == 7,
        _ => false,
    };
    let event = |number: u64| {
        let mut tags = Metadata::new();
        for (key, team) in [("team", "all"), ("feature", "early"), ("tenant_id", "few"), ("environment", "rare")] {
            if has(number, team) {
                tags.insert(key, team);
            }
        }
        Arc::new(Event::builder().time(time(START + number / 2)).tags(Scope::Request, tags).build())
    };
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let mut writer = Blocking(Box::new(store.writer()));
    events.chunks(3_000).for_each(|chunk| writer.write(chunk).unwrap());
    writer.close();
    let analytics = Analytics::new(store);
    let range = TimeRange::parse("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "UTC").unwrap();
    let cases = [
        &[("team", "all")][..],
        &[("feature", "early")],
        &[("tenant_id", "few")],
        &[("environment", "rare")],
        &[("team", "all"), ("environment", "rare"), ("feature", "early")],
        &[("team", "none"), ("feature", "early")],
    ];
    for (case, is_oldest_first) in cases.iter().flat_map(|case| [(case, false), (case, true)]) {
        let mut query = RowQuery::new(range.clone()).limit(RowQuery::MAX_LIMIT);
        query.is_oldest_first = is_oldest_first;
        query = case.iter().fold(query, |query, (key, value)| query.filter(Filter::is(Dimension::tag(*key), *value)));
        let matches = |(number, _): &(u64, &Arc<Event>)| case.iter().all(|(_, team)| has(*number, team));
        let mut expected: Vec<_> =
            (0..).zip(&events).filter(matches).map(|(_, event)| (event.time(), event.id())).collect();
        expected.sort_unstable();
        if !is_oldest_first {
            expected.reverse();
        }
        // Some pages, and all if they are few.
        let mut found = Vec::new();
        for _ in 0..20 {
            let page = analytics.rows(&query, &Grant::everything()).await.unwrap();
            found.extend(page.rows.iter().map(|row| (row.requested_at, row.id)));
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        assert!(found.len() >= expected.len().min(10_000), "{case:?}: {}", found.len());
        assert!(found == expected[..found.len()], "{case:?}, oldest first: {is_oldest_first}");
    }
}
