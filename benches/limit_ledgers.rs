//! Measures how many reservations per second ledgers on servers make, next to the smallest call of the same server:
//!
//! ```text
//! bash tests/postgres.sh start /tmp/bench/postgres        # prints a URL
//! bash tests/valkey.sh start /tmp/bench/valkey            # prints a URL
//! DATABASE_URL=… REDIS_URL=… cargo bench -p tower-tagging-benches --bench limit_ledgers
//! ```
//!
//! Each client waits for its answer before the next call. For `SELECT 1` and `PING`, each client has its own connection. All
//! clients of a ledger share its two connections, where calls that wait at the same time go out together. The table shows
//! medians of three rounds. A server is skipped without its variable.

#![allow(clippy::cast_precision_loss, reason = "figures are for humans")]

use std::{
    env,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
};
use tokio_postgres::NoTls;
use tower_tagging::limit::Ledger;

const CLIENTS: [usize; 3] = [1, 16, 48];
const GROUPS: usize = 1_000;
const CHUNK: i64 = 1_000;

/// What the clients of a row do.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    groups: usize,
    chunk: i64,
    is_settled: bool,
}

const ROWS: [Row; 4] = [
    Row { name: "reserve, one group", groups: 1, chunk: 0, is_settled: false },
    Row { name: "reserve, 1,000 groups", groups: GROUPS, chunk: 0, is_settled: false },
    Row { name: "reserve and settle, one group", groups: 1, chunk: 0, is_settled: true },
    Row { name: "reserve and settle, one group, chunks of 1,000", groups: 1, chunk: CHUNK, is_settled: true },
];

fn main() {
    let is_smoke = env::args().any(|arg| arg == "--smoke");
    let (time, rounds) = if is_smoke { (Duration::from_millis(50), 1) } else { (Duration::from_secs(2), 3) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let header = CLIENTS.map(|clients| format!("{clients} clients")).join(" | ");
    println!("| server | calls per second | {header} |\n|---|---|{}", "--:|".repeat(CLIENTS.len()));
    let bench = Bench { runtime, time, rounds };
    match env::var("DATABASE_URL") {
        Ok(url) => {
            bench.row("Postgres", "SELECT 1", |clients| bench.select(&url, clients));
            bench.ledger("Postgres", &url);
        }
        Err(_) => println!("| Postgres | skipped: DATABASE_URL is not set |{}", " |".repeat(CLIENTS.len())),
    }
    match env::var("REDIS_URL") {
        Ok(url) => {
            bench.row("Valkey", "PING", |clients| bench.ping(&url, clients));
            bench.ledger("Valkey", &url);
        }
        Err(_) => println!("| Valkey | skipped: REDIS_URL is not set |{}", " |".repeat(CLIENTS.len())),
    }
    // Last, because it frees millions of allocations at its end, which stops the process for seconds.
    bench.ledger("memory", "memory");
}

struct Bench {
    runtime: Runtime,
    time: Duration,
    rounds: usize,
}

impl Bench {
    fn row(&self, server: &str, name: &str, measure: impl Fn(usize) -> f64) {
        let figures = CLIENTS.map(|clients| {
            let mut rates: Vec<f64> = (0..self.rounds).map(|_| measure(clients)).collect();
            rates.sort_by(f64::total_cmp);
            format!("{:.0}", rates[rates.len() / 2])
        });
        println!("| {server} | {name} | {} |", figures.join(" | "));
    }

    fn ledger(&self, server: &str, url: &str) {
        let ledger = Ledger::from_url(url, Duration::from_secs(10)).unwrap();
        // Connects, and creates tables.
        assert!(self.runtime.block_on(ledger.measured_call("[\"warm-up\"]", 0, true)).unwrap());
        for row in ROWS {
            self.row(server, row.name, |clients| self.cycles(&ledger, row, clients));
        }
        assert_eq!(ledger.status().errors, 0);
    }

    fn cycles(&self, ledger: &Ledger, row: Row, clients: usize) -> f64 {
        let callers = (0..clients).map(|client| {
            let ledger = ledger.clone();
            // Each row has its own series.
            let names: Vec<String> = (0..row.groups).map(|group| format!("[\"{}\",{group}]", row.name)).collect();
            let mut at = client * row.groups / clients;
            async move |counted: Arc<Counted>| {
                while counted.goes_on() {
                    at = (at + 1) % names.len();
                    assert!(ledger.measured_call(&names[at], row.chunk, row.is_settled).await.unwrap());
                    counted.add();
                    // The ledger in memory answers at once.
                    tokio::task::yield_now().await;
                }
            }
        });
        self.measure(callers.collect())
    }

    fn select(&self, url: &str, clients: usize) -> f64 {
        let connect = async || {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let statement = client.prepare("SELECT 1").await.unwrap();
            async move |counted: Arc<Counted>| {
                while counted.goes_on() {
                    client.query_one(&statement, &[]).await.unwrap();
                    counted.add();
                }
            }
        };
        let mut callers = Vec::new();
        for _ in 0..clients {
            callers.push(self.runtime.block_on(connect()));
        }
        self.measure(callers)
    }

    fn ping(&self, url: &str, clients: usize) -> f64 {
        let address = url.trim_start_matches("redis://").split('/').next().unwrap();
        let connect = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            async move |counted: Arc<Counted>| {
                let mut answer = [0; 7];
                while counted.goes_on() {
                    stream.write_all(b"PING\r\n").await.unwrap();
                    stream.read_exact(&mut answer).await.unwrap();
                    assert_eq!(&answer, b"+PONG\r\n");
                    counted.add();
                }
            }
        };
        let mut callers = Vec::new();
        for _ in 0..clients {
            callers.push(self.runtime.block_on(connect()));
        }
        self.measure(callers)
    }

    /// Lets clients call for a time, and returns the calls per second.
    fn measure<C, F>(&self, callers: Vec<C>) -> f64
    where
        C: FnOnce(Arc<Counted>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let start = Instant::now();
        let counted = Arc::new(Counted { calls: AtomicU64::new(0), end: start + self.time });
        self.runtime.block_on(async {
            let running: Vec<_> =
                callers.into_iter().map(|caller| tokio::spawn(caller(Arc::clone(&counted)))).collect();
            for client in running {
                client.await.unwrap();
            }
        });
        counted.calls.load(Relaxed) as f64 / start.elapsed().as_secs_f64()
    }
}

struct Counted {
    calls: AtomicU64,
    end: Instant,
}

impl Counted {
    fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    fn add(&self) {
        self.calls.fetch_add(1, Relaxed);
    }
}
