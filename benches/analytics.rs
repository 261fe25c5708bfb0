//! Measures how fast [`Analytics`] answers questions, next to plain SQL on the rows that returns the same:
//!
//! ```text
//! bash tests/postgres.sh start /tmp/bench        # prints a URL
//! ANALYTICS_EVENTS=10000000 DATABASE_URL=… cargo bench -p tower-tagging-benches --bench analytics
//! ```
//!
//! The events are of 90 days, with five active keys: `_user` (50,000 skewed values), `tenant_id` (2,000), `feature` (200),
//! `team` (50), and `environment` (3). The first run writes them, which is also measured, and keeps them: a database file in
//! `target/analytics-bench/`, and a schema in Postgres. The figures are medians of five rounds, and the slowest of them. Plain
//! SQL runs once, with no other index than those of the store. `ANALYTICS_WITHOUT_SQLITE=1` skips the file, and a
//! missing `DATABASE_URL` skips Postgres. By default, there are only a few events, which checks that the benchmark works.

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

#[path = "../examples/gateway/random.rs"]
#[allow(dead_code, reason = "the gateway uses all of it")]
mod random;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use axum::body::Body;
use http::{Method, Request, StatusCode};
use random::Random;
use rusqlite::Connection;
use tokio_postgres::{Client, NoTls};
use tower::ServiceExt;
use tower_tagging::{
    Event, Scope,
    analytics::{
        Analytics, Bucket, Dimension, Field, Filter, Grant, Measure, Query, Retention, RowQuery, TimeRange,
        jiff::Timestamp,
    },
    dashboard::Dashboard,
    sink::BatchWriter,
    store::{PostgresStore, SqliteStore},
    tags,
    usage::{Cost, LlmCall, Money, Operation, Unit, Usage},
};

const SMOKE_EVENTS: usize = 20_000;
/// The number of events of a transaction, as in `SqliteStore::sink`.
const BATCH: usize = 2_000;
const ROUNDS: usize = 5;
/// The number of events whose rate is compared with that of a store without sums.
const FIRST_EVENTS: usize = 200_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const KEYS: [&str; 5] = ["_user", "environment", "feature", "team", "tenant_id"];

/// With microseconds, as stored times, which are compared as text.
const FROM: &str = "2026-09-01T00:00:00.000000Z";
const TO: &str = "2026-11-30T00:00:00.000000Z";
const LAST_WEEK: &str = "2026-11-23T00:00:00.000000Z";
const LAST_MONTH: &str = "2026-10-31T00:00:00.000000Z";

const MODELS: [(&str, &str); 12] = [
    ("openai", "gpt-4o-2024-08-06"),
    ("openai", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-5-2025-08-07"),
    ("openai", "gpt-5-mini-2025-08-07"),
    ("openai", "o4-mini-2025-04-16"),
    ("anthropic", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-haiku-4-5-20251001"),
    ("anthropic", "claude-opus-4-1-20250805"),
    ("google", "gemini-2.5-flash"),
    ("google", "gemini-2.5-pro"),
    ("mistral", "mistral-large-2411"),
    ("groq", "llama-3.3-70b-versatile"),
];

/// Creates the events in the order of their times.
struct Events {
    random: Random,
    next: usize,
    count: usize,
}

impl Iterator for Events {
    type Item = Arc<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = Some(self.next).filter(|number| *number < self.count)?;
        self.next += 1;
        Some(Arc::new(self.event(number)))
    }
}

impl Events {
    fn new(count: usize) -> Self {
        Self { random: Random::new(7), next: 0, count }
    }

    fn event(&mut self, number: usize) -> Event {
        let [from, to] = [FROM, TO].map(micros);
        let time = from + (to - from) / self.count as u64 * number as u64;
        let random = &mut self.random;
        let (provider, model) = random.pick(&MODELS);
        let user = random.skewed(50_000);
        // A user belongs to a tenant, and a tenant uses a few features.
        let tenant = user * 7_919 % 2_000;
        let feature = (tenant + random.skewed(12)) % 200;
        let (input, output) = (random.between(200, 6_000), random.between(20, 900));
        let is_error = random.chance(20);
        let duration = Duration::from_micros(output * random.between(4_000, 20_000));
        let mut call = LlmCall::builder()
            .provider(provider)
            .operation(Operation::Chat)
            .request_model(model)
            .stream(true)
            .duration(duration);
        if !is_error {
            let usage = Usage::tokens(input, output).with(Unit::CacheReadTokens, input / 2);
            let [input_cost, output_cost] = [input * 1_250, output * 10_000];
            let cost = Cost::custom(Money::from_nano_usd(input_cost + output_cost))
                .parts(Money::from_nano_usd(input_cost), Money::from_nano_usd(output_cost));
            call = call.response_model(model).usage(usage).time_to_first_token(duration / 8);
            // One call in fifty has no price.
            call = if random.chance(20) { call } else { call.cost(cost) };
        }
        Event::builder()
            .time(SystemTime::UNIX_EPOCH + Duration::from_micros(time))
            .method(Method::POST)
            .path("/v1/chat/completions")
            .status(if is_error { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK })
            .duration(duration)
            .workspace(["acme", "internal", "lab"][usize::try_from(tenant % 3).unwrap()])
            .tags(
                Scope::Request,
                tags! {
                    "_user" => format!("user-{user}"),
                    "tenant_id" => format!("tenant-{tenant}"),
                    "feature" => format!("feature-{feature}"),
                    "team" => format!("team-{}", feature % 50),
                    "environment" => random.pick(&["production", "production", "production", "staging", "development"]),
                },
            )
            .llm(call.build())
            .build()
    }
}

fn micros(time: &str) -> u64 {
    u64::try_from(time.parse::<Timestamp>().unwrap().as_microsecond()).unwrap()
}

/// The rates of writing, in events per second, and the times of maintenance.
struct Written {
    /// The rate of the first [`FIRST_EVENTS`].
    first: f64,
    rate: f64,
    maintenance: Vec<Duration>,
}

/// Writes events, which another thread creates, and calls `maintain` after each of their days.
///
/// The rates include neither the time of that thread nor the maintenance.
async fn write<W: BatchWriter>(mut writer: W, count: usize, maintain: impl AsyncFn(SystemTime)) -> Written {
    let (sender, mut batches) = tokio::sync::mpsc::channel::<Vec<Arc<Event>>>(8);
    let creating = thread::spawn(move || {
        let mut events = Events::new(count);
        loop {
            let batch: Vec<_> = events.by_ref().take(BATCH).collect();
            if batch.is_empty() || sender.blocking_send(batch).is_err() {
                return;
            }
        }
    });
    let (mut busy, mut stored, mut first) = (Duration::ZERO, 0_usize, 0.0);
    let mut maintenance = Vec::new();
    let mut next_day = SystemTime::UNIX_EPOCH + Duration::from_micros(micros(FROM)) + DAY;
    while let Some(batch) = batches.recv().await {
        let time = batch.last().unwrap().time();
        stored += batch.len();
        let write = move || {
            let start = Instant::now();
            writer.write(&batch).unwrap();
            (writer, start.elapsed())
        };
        let elapsed;
        (writer, elapsed) = tokio::task::spawn_blocking(write).await.unwrap();
        busy += elapsed;
        if stored <= FIRST_EVENTS {
            first = stored as f64 / busy.as_secs_f64();
        }
        if time >= next_day {
            next_day = time + DAY;
            let start = Instant::now();
            maintain(time).await;
            maintenance.push(start.elapsed());
        }
    }
    creating.join().unwrap();
    let start = Instant::now();
    maintain(SystemTime::now()).await;
    maintenance.push(start.elapsed());
    maintenance.sort_unstable();
    Written { first, rate: count as f64 / busy.as_secs_f64(), maintenance }
}

enum Ask {
    Sums(Box<Query>, Grant),
    Page(RowQuery),
}

struct Question {
    text: &'static str,
    /// The time that an answer may take, in milliseconds.
    aim: u32,
    ask: Ask,
    /// SQL that returns the same: the first value, and the number of requests of each row.
    plain: String,
}

fn range(from: &str) -> TimeRange {
    TimeRange::parse(from, TO, "UTC").unwrap()
}

fn tag(key: &str) -> Dimension {
    Dimension::tag(key)
}

/// A question about the cost of each value of a dimension, the highest first.
fn by(text: &'static str, aim: u32, from: &str, dimension: impl Into<Dimension>) -> Question {
    let dimension = dimension.into();
    let column = match &dimension {
        Dimension::Tag(key) => format!("raw_metadata->>'{key}'"),
        field => field.to_string(),
    };
    let query = Query::new(range(from)).group_by(dimension).measure(Measure::Cost).measure(Measure::Requests);
    let plain = format!(
        "SELECT {column}, COUNT(*), COALESCE(SUM(total_cost_nanos), 0) FROM tagging_events
         WHERE requested_at >= '{from}' AND requested_at < '{TO}' GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 50"
    );
    Question { text, aim, ask: Ask::Sums(Box::new(query), Grant::everything()), plain }
}

/// A question about the requests and the cost of each day.
fn series(text: &'static str, aim: u32, filter: Option<(&str, &str)>) -> Question {
    let query = Query::new(range(FROM)).measure(Measure::Requests).measure(Measure::Cost).bucket(Bucket::Day);
    let query = match filter {
        Some((key, value)) => query.filter(Filter::is(tag(key), value)),
        None => query,
    };
    let condition = filter.map(|(key, value)| format!("AND raw_metadata->>'{key}' = '{value}'")).unwrap_or_default();
    let plain = format!(
        "SELECT substr(CAST(requested_at AS TEXT), 1, 10), COUNT(*), SUM(total_cost_nanos) FROM tagging_events
         WHERE requested_at >= '{FROM}' AND requested_at < '{TO}' {condition} GROUP BY 1 ORDER BY 1"
    );
    Question { text, aim, ask: Ask::Sums(Box::new(query), Grant::everything()), plain }
}

/// A question for the newest requests.
fn page(text: &'static str, filters: Vec<Filter>, condition: &str) -> Question {
    let query = filters.into_iter().fold(RowQuery::new(range(FROM)), RowQuery::filter);
    let plain = format!(
        "SELECT CAST(id AS TEXT), 1 FROM tagging_events WHERE requested_at >= '{FROM}' AND requested_at < '{TO}'
         AND {condition} ORDER BY requested_at DESC, id DESC LIMIT 50"
    );
    Question { text, aim: 100, ask: Ask::Page(query), plain }
}

fn questions() -> Vec<Question> {
    let mut all = vec![
        series("all requests by day, 90 days", 100, None),
        by("cost by environment (3), 90 days", 100, FROM, tag("environment")),
        by("cost by model (12), 90 days", 100, FROM, Field::Model),
        by("cost by team (50), 90 days", 100, FROM, tag("team")),
        by("cost by feature (200), 90 days", 100, FROM, tag("feature")),
        by("cost by tenant (2,000), 90 days", 500, FROM, tag("tenant_id")),
        by("cost by user (50,000), 7 days", 2_000, LAST_WEEK, tag("_user")),
        by("cost by user (50,000), 30 days", 2_000, LAST_MONTH, tag("_user")),
        by("cost by user (50,000), 90 days", 2_000, FROM, tag("_user")),
        series("one team by day, 90 days", 20, Some(("team", "team-7"))),
        series("one tenant by day, 90 days", 20, Some(("tenant_id", "tenant-7"))),
        series("one user by day, 90 days", 20, Some(("_user", "user-7"))),
        page(
            "newest requests of a user",
            vec![Filter::is(tag("_user"), "user-7")],
            "raw_metadata->>'_user' = 'user-7'",
        ),
        page(
            "newest requests of a tenant and a feature",
            vec![Filter::is(tag("tenant_id"), "tenant-7"), Filter::is(tag("feature"), "feature-9")],
            "raw_metadata->>'tenant_id' = 'tenant-7' AND raw_metadata->>'feature' = 'feature-9'",
        ),
        page(
            "newest errors of a team",
            vec![Filter::is(tag("team"), "team-7"), Filter::is(Field::Status, "429")],
            "raw_metadata->>'team' = 'team-7' AND status_code = 429",
        ),
        page(
            "requests that no filter finds",
            vec![Filter::is(tag("team"), "team-7"), Filter::is(tag("environment"), "nowhere")],
            "raw_metadata->>'team' = 'team-7' AND raw_metadata->>'environment' = 'nowhere'",
        ),
    ];

    let mut quantiles = by("p95 of the latency by team (50), 90 days", 100, FROM, tag("team"));
    if let Ask::Sums(query, _) = &mut quantiles.ask {
        query.measures.push(Measure::P95Latency);
    }
    let mut days = by("cost by feature and day in Berlin, 90 days", 100, FROM, tag("feature"));
    if let Ask::Sums(query, _) = &mut days.ask {
        **query = query.clone().bucket(Bucket::Day).limit(8);
        query.range = range(FROM).in_zone("Europe/Berlin").unwrap();
    }
    let mut own = by("a tenant's own cost by feature, 90 days", 100, FROM, tag("feature"));
    if let Ask::Sums(_, grant) = &mut own.ask {
        *grant = Grant::only([Filter::is(tag("tenant_id"), "tenant-7")]);
    }
    own.plain = own.plain.replace("GROUP BY", "AND raw_metadata->>'tenant_id' = 'tenant-7' GROUP BY");
    all.extend([quantiles, days, own]);
    all
}

/// The first value and the number of requests of each row.
type Rows = Vec<(Option<String>, u64)>;

async fn ask(analytics: &Analytics, ask: &Ask) -> Rows {
    match ask {
        Ask::Sums(query, grant) => {
            let answer = analytics.run(query, grant).await.unwrap();
            if query.group_by.is_empty() {
                let days = answer.buckets.iter().map(|start| Some(start.to_string()[..10].to_owned()));
                return days.zip(answer.series.iter().map(|cell| cell.totals.requests)).collect();
            }
            answer.groups.iter().map(|group| (group.values[0].clone(), group.cell.totals.requests)).collect()
        }
        Ask::Page(query) => {
            let page = analytics.rows(query, &Grant::everything()).await.unwrap();
            page.rows.iter().map(|row| (Some(row.id.to_string()), 1)).collect()
        }
    }
}

/// Prints a row of the table for each question.
async fn compare(store: &str, analytics: &Analytics, mut plain: impl AsyncFnMut(&str) -> Rows) {
    for question in questions() {
        let mut times = Vec::new();
        let mut ours = Rows::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            ours = ask(analytics, &question.ask).await;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let (median, slowest) = (times[ROUNDS / 2], times[ROUNDS - 1]);
        let start = Instant::now();
        let theirs = plain(&question.plain).await;
        let scan = start.elapsed();
        assert_same(&question, &ours, &theirs);
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let verdict = if millis(median) <= f64::from(question.aim) { "" } else { " ✗" };
        println!(
            "| {store} | {} | {}{verdict} | {:.1} | {:.1} | {:.0} | {:.0} |",
            question.text,
            question.aim,
            millis(median),
            millis(slowest),
            millis(scan),
            scan.as_secs_f64() / median.as_secs_f64(),
        );
    }
}

/// The pages of the dashboard that are measured, and the time that each may take, in milliseconds.
const PAGES: [(&str, &str, u32); 7] = [
    ("overview, 30 days", "/", 300),
    ("overview, 90 days", "/?r=90d", 300),
    ("explore by feature, 90 days", "/explore?r=90d&g=feature", 300),
    ("requests of a team, 30 days", "/requests?f=team:is:team-7", 300),
    ("users, 30 days", "/by/_user", 1_000),
    ("keys, 30 days", "/keys", 300),
    ("health, 30 days", "/health", 300),
];
/// The size that a page may have, in bytes, before compression.
const MAX_PAGE: usize = 100_000;

/// Prints a row of the table for each page of the dashboard.
async fn pages(store: &str, analytics: &Analytics) {
    let access = |_: &http::request::Parts| Ok(Grant::everything());
    let dashboard = Dashboard::new(analytics.clone(), access).into_router();
    for (text, path, aim) in PAGES {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = dashboard.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().len();
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_unstable_by(f64::total_cmp);
        let (median, slowest) = (times[ROUNDS / 2], times[ROUNDS - 1]);
        let verdict = if median <= f64::from(aim) && bytes <= MAX_PAGE { "" } else { " ✗" };
        println!("| {store} | page: {text} | {aim} | {median:.1}{verdict} | {slowest:.1} | {} KB | |", bytes / 1_000);
    }
}

/// Panics unless both have the same rows. Ours may have fewer groups, and has days without requests.
fn assert_same(question: &Question, ours: &Rows, theirs: &Rows) {
    let ours: Rows = ours.iter().filter(|(_, requests)| *requests > 0).cloned().collect();
    let different = ours.iter().zip(theirs).find(|(one, other)| one != other);
    assert_eq!(different, None, "{}", question.text);
    let may_have_fewer = matches!(&question.ask, Ask::Sums(query, _) if query.limit < Query::DEFAULT_LIMIT);
    assert!(ours.len() == theirs.len() || may_have_fewer && !ours.is_empty(), "{}: {ours:?} {theirs:?}", question.text);
}

/// Returns the folder for files that are kept, in the target directory.
fn cache() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let folder = target.join("analytics-bench");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn print_rates(store: &str, count: usize, written: &Written, bare: f64) {
    let Written { first, rate, maintenance } = written;
    let verdict = |rate: f64| if rate >= 15_000.0 { "" } else { " ✗" };
    println!(
        "| {store} | writes {count} events with five active keys | ≥ 15,000/s | {rate:.0}/s{} | | | |",
        verdict(*rate)
    );
    println!(
        "| {store} | writes the first {} of them | ≥ 15,000/s | {first:.0}/s{} | | {bare:.0}/s without sums | {:.2} |",
        count.min(FIRST_EVENTS),
        verdict(*first),
        first / bare,
    );
    let [median, slowest] =
        [maintenance.len() / 2, maintenance.len() - 1].map(|at| maintenance[at].as_secs_f64() * 1e3);
    println!("| {store} | maintenance after each day | | {median:.0} | {slowest:.0} | | |");
}

async fn maintain(analytics: &Analytics, now: SystemTime) {
    analytics.maintain(now, Retention::forever()).await.unwrap();
}

async fn sqlite(count: usize) {
    let path = cache().join(format!("events-{count}.db"));
    if !path.exists() {
        let folder = cache().join("building");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let open = |name: &str| SqliteStore::open(folder.join(name)).unwrap().active_keys(KEYS);
        let store = open("events.db");
        store.migrate().unwrap();
        let analytics = Analytics::new(store.clone());
        analytics.activate_pair(tag("tenant_id"), tag("feature")).await.unwrap();
        let written = write(store.writer(), count, async |time| maintain(&analytics, time).await).await;
        let without = open("bare.db").without_rollups();
        without.migrate().unwrap();
        let bare = write(without.writer(), count.min(FIRST_EVENTS), async |_| ()).await;
        print_rates("SQLite", count, &written, bare.rate);
        let db = Connection::open(folder.join("events.db")).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(db);
        fs::rename(folder.join("events.db"), &path).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
    let db = Connection::open(&path).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    // A file of an older version may lack tables.
    store.migrate().unwrap();
    let plain = async |sql: &str| {
        let mut select = db.prepare(sql).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).unwrap();
        rows.map(|row| row.map(|(value, requests)| (value, u64::try_from(requests).unwrap())).unwrap()).collect()
    };
    let analytics = Analytics::new(store);
    compare("SQLite", &analytics, plain).await;
    pages("SQLite", &analytics).await;
}

async fn postgres(count: usize, url: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let schema = format!("analytics_bench_{count}");
    let store = |schema: &str| {
        let mut config: tokio_postgres::Config = url.parse().unwrap();
        config.options(format!("-c search_path={schema}"));
        PostgresStore::new(config, NoTls).active_keys(KEYS)
    };
    let kept = client.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[&schema]).await.unwrap();
    if kept.is_empty() {
        let building = "analytics_bench_building";
        for name in [building, "analytics_bench_bare"] {
            fresh_schema(&client, name).await;
        }
        let events = store(building);
        events.migrate().await.unwrap();
        let analytics = Analytics::new(events.clone());
        analytics.activate_pair(tag("tenant_id"), tag("feature")).await.unwrap();
        let written = write(events.writer(), count, async |time| maintain(&analytics, time).await).await;
        let without = store("analytics_bench_bare").without_rollups();
        without.migrate().await.unwrap();
        let bare = write(without.writer(), count.min(FIRST_EVENTS), async |_| ()).await;
        print_rates("Postgres", count, &written, bare.rate);
        let done = format!(
            "DROP SCHEMA analytics_bench_bare CASCADE; ALTER SCHEMA {building} RENAME TO {schema};
             SET search_path TO {schema}"
        );
        client.batch_execute(&done).await.unwrap();
        client.batch_execute("VACUUM ANALYZE").await.unwrap();
    }
    client.batch_execute(&format!("SET search_path TO {schema}; SET timezone TO 'UTC'")).await.unwrap();
    let plain = async |sql: &str| {
        let rows = client.query(sql, &[]).await.unwrap();
        let requests =
            |row: &tokio_postgres::Row| row.try_get::<_, i64>(1).unwrap_or_else(|_| row.get::<_, i32>(1).into());
        rows.iter().map(|row| (row.get(0), u64::try_from(requests(row)).unwrap())).collect()
    };
    let events = store(&schema);
    events.migrate().await.unwrap();
    let analytics = Analytics::new(events);
    compare("Postgres", &analytics, plain).await;
    pages("Postgres", &analytics).await;
}

async fn fresh_schema(client: &Client, name: &str) {
    let fresh = format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}");
    client.batch_execute(&fresh).await.unwrap();
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let is_smoke = env::args().any(|arg| arg == "--smoke");
    let count = env::var("ANALYTICS_EVENTS").ok().filter(|_| !is_smoke);
    let count = count.map_or(SMOKE_EVENTS, |count| count.parse().expect("ANALYTICS_EVENTS is a number of events"));
    println!("| store | {count} events | aim, ms | ours, ms | slowest | plain SQL, ms | × |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    if env::var_os("ANALYTICS_WITHOUT_SQLITE").is_none() {
        sqlite(count).await;
    }
    match env::var("DATABASE_URL") {
        Ok(url) => postgres(count, &url).await,
        Err(_) => println!("| Postgres | skipped: DATABASE_URL is not set | | | | | |"),
    }
}
