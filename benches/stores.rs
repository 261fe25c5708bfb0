//! Measures the rate at which stores accept events, compared with one INSERT per event on the same kind of connection:
//!
//! ```text
//! bash tests/postgres.sh start /tmp/bench        # prints a URL
//! DATABASE_URL=… cargo bench -p tower-tagging-benches --bench stores
//! ```
//!
//! The events come from requests with five tags and an LLM call. They are created and priced beforehand (see the bench
//! `usage` for that cost). The timed part goes through `sink()`, from the first event until all of them are in the
//! table. The rows for the single INSERTs are read back from that table, so building them is not timed. The table shows
//! medians of three interleaved rounds. Postgres is skipped without `DATABASE_URL`.

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

use std::{
    convert::Infallible,
    env,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use http::{Request, Response};
use rusqlite::{Connection, params_from_iter, types::Value};
use tokio_postgres::{Client, NoTls, types::ToSql};
use tower::{Layer, ServiceExt};
use tower_tagging::{
    Event, EventLayer, Sink, Tags,
    sink::{MockSink, Queued},
    store::{PostgresStore, SCHEMA, SqliteStore},
    usage::{Unit, Usage, UsageTap},
};

/// The number of events through a sink, the number of single INSERTs, and the number of rounds.
struct Sizes {
    batched: usize,
    single: usize,
    rounds: usize,
}

fn main() {
    let is_smoke = env::args().any(|arg| arg == "--smoke");
    let sizes = if is_smoke {
        Sizes { batched: 3_000, single: 50, rounds: 1 }
    } else {
        Sizes { batched: 300_000, single: 5_000, rounds: 3 }
    };
    println!("| store | how | events/s | × one by one |");
    println!("|---|---|--:|--:|");
    sqlite(&sizes);
    match env::var("DATABASE_URL") {
        Ok(url) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(postgres(&sizes, &url));
        }
        Err(_) => println!("| Postgres | skipped: DATABASE_URL is not set | | |"),
    }
}

fn print(store: &str, ours: &mut [f64], singles: &mut [(&str, Vec<f64>)]) {
    let ours = median(ours);
    for (how, rates) in &mut *singles {
        println!("| {store} | one INSERT per event, {how} | {:.0} | 1 |", median(rates));
    }
    let ratios: Vec<String> = singles.iter_mut().map(|(_, rates)| format!("{:.0}", ours / median(rates))).collect();
    println!("| {store} | **ours** | {ours:.0} | {} |", ratios.join(", "));
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Creates the events of requests with five tags and an LLM call.
fn events(count: usize) -> Vec<Arc<Event>> {
    let sink = MockSink::new();
    let layer = EventLayer::new(sink.clone()).usage(UsageTap::new());
    for number in 0..count {
        let service = layer.layer(tower::service_fn(|request: Request<()>| {
            let tags = request.extensions().get::<Tags>().unwrap();
            tags.insert("_user", format!("user-{}", number % 5_000));
            tags.insert("environment", "production");
            tags.insert("feature", ["search", "chat", "document-review"][number % 3]);
            tags.insert("session", format!("session-{}", number / 10));
            tags.insert("team", ["growth", "ads"][number % 2]);
            let usage = Usage::tokens(2_006, 300).with(Unit::CacheReadTokens, 1_920).with(Unit::ReasoningTokens, 128);
            tags.record_usage(usage.of("openai", "gpt-4o"));
            std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
        }));
        let request = Request::post("/v1/chat/completions").header("host", "api.openai.com").body(()).unwrap();
        service.oneshot(request).now_or_never().unwrap().unwrap();
    }
    let events = sink.events();
    sink.clear();
    for event in &events {
        assert!(event.llm().is_some_and(|llm| llm.cost().is_some()), "the event is not priced");
    }
    events
}

/// Returns the rate of events through a sink, per second.
fn through(sink: &Queued, events: Vec<Arc<Event>>) -> f64 {
    let count = events.len();
    let start = Instant::now();
    for (number, event) in events.into_iter().enumerate() {
        // The queue holds 32,768 events. A full queue would drop events.
        while number.is_multiple_of(1_000) && sink.delivery().report().sinks[0].in_flight() > 30_000 {
            thread::sleep(Duration::from_millis(1));
        }
        sink.emit(event);
    }
    let report = sink.delivery().shutdown_blocking(Duration::from_secs(300));
    let rate = count as f64 / start.elapsed().as_secs_f64();
    assert_eq!(report.sinks[0].delivered, count as u64, "{report}");
    rate
}

fn sqlite(sizes: &Sizes) {
    let folder = env::temp_dir().join(format!("tower-tagging-stores-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (mut ours, mut wal, mut default) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..sizes.rounds {
        let open = |name: &str| {
            let path = folder.join(format!("{name}-{round}.db"));
            let store = SqliteStore::open(&path).unwrap();
            store.migrate().unwrap();
            (path, store)
        };
        let (path, store) = open("ours");
        ours.push(through(&store.sink(), events(sizes.batched)));
        let rows = sqlite_rows(&path, sizes.single);
        wal.push(sqlite_singles(&open("wal").0, "WAL", "NORMAL", &rows));
        default.push(sqlite_singles(&open("default").0, "DELETE", "FULL", &rows));
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
    }
    std::fs::remove_dir_all(&folder).unwrap();
    print("SQLite", &mut ours, &mut [("WAL and NORMAL, as in ours", wal), ("default journal", default)]);
}

/// Returns the columns that rows have values for, separated by commas.
fn stored_columns() -> String {
    let columns = SCHEMA.iter().filter(|column| !column.is_generated()).map(|column| column.name);
    columns.collect::<Vec<_>>().join(", ")
}

fn sqlite_rows(path: &Path, count: usize) -> Vec<Vec<Value>> {
    let db = Connection::open(path).unwrap();
    let mut select = db.prepare(&format!("SELECT {} FROM tagging_events LIMIT ?1", stored_columns())).unwrap();
    let columns = select.column_count();
    let rows = select.query_map([i64::try_from(count).unwrap()], |row| (0..columns).map(|at| row.get(at)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

fn sqlite_singles(path: &Path, journal: &str, synchronous: &str, rows: &[Vec<Value>]) -> f64 {
    let db = Connection::open(path).unwrap();
    db.query_row(&format!("PRAGMA journal_mode = {journal}"), [], |_| Ok(())).unwrap();
    db.pragma_update(None, "synchronous", synchronous).unwrap();
    let places = vec!["?"; rows[0].len()].join(", ");
    let mut insert =
        db.prepare(&format!("INSERT INTO tagging_events ({}) VALUES ({places})", stored_columns())).unwrap();
    let start = Instant::now();
    for row in rows {
        insert.execute(params_from_iter(row)).unwrap();
    }
    rows.len() as f64 / start.elapsed().as_secs_f64()
}

async fn postgres(sizes: &Sizes, url: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let (mut ours, mut singles) = (Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        let schema = "tower_tagging_bench";
        let fresh =
            format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}; SET search_path TO {schema}");
        client.batch_execute(&fresh).await.unwrap();
        let mut config: tokio_postgres::Config = url.parse().unwrap();
        config.options(format!("-c search_path={schema}"));
        let store = PostgresStore::new(config, NoTls);
        store.migrate().await.unwrap();
        let sink = store.sink();
        let events = events(sizes.batched);
        ours.push(tokio::task::spawn_blocking(move || through(&sink, events)).await.unwrap());
        singles.push(postgres_singles(&client, sizes.single).await);
        client.batch_execute(&format!("DROP SCHEMA {schema} CASCADE; CHECKPOINT")).await.unwrap();
    }
    drop(client);
    connection.await.unwrap().unwrap();
    print("Postgres", &mut ours, &mut [("prepared statement", singles)]);
}

async fn postgres_singles(client: &Client, count: usize) -> f64 {
    let types = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
                 WHERE attrelid = 'tagging_events'::regclass AND attnum > 0 AND attgenerated = '' ORDER BY attnum";
    let columns: Vec<(String, String)> =
        client.query(types, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    let texts: Vec<String> = columns.iter().map(|(name, _)| format!("{name}::text")).collect();
    let select = format!("SELECT {} FROM tagging_events LIMIT {count}", texts.join(", "));
    let rows = client.query(&select, &[]).await.unwrap();
    let rows: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| (0..columns.len()).map(|at| row.get(at)).collect()).collect();
    client.batch_execute("TRUNCATE tagging_events").await.unwrap();
    let places: Vec<String> = (1..).zip(&columns).map(|(at, (_, ty))| format!("${at}::text::{ty}")).collect();
    let insert = format!("INSERT INTO tagging_events ({}) VALUES ({})", stored_columns(), places.join(", "));
    let insert = client.prepare(&insert).await.unwrap();
    let start = Instant::now();
    for row in &rows {
        let values: Vec<&(dyn ToSql + Sync)> = row.iter().map(|value| value as _).collect();
        client.execute(&insert, &values).await.unwrap();
    }
    rows.len() as f64 / start.elapsed().as_secs_f64()
}
