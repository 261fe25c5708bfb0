//! Servers that are down, do not answer, restart, or lose their scripts. Each test starts its own server.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::runtime;
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::{
    super::{
        Ledger, LedgerError,
        backend::{Check, Reservation, Reserved, Settlement},
    },
    support::{MINUTE, SLOT, budget, id, now, open, reserve, wait},
};

const TIMEOUT: Duration = Duration::from_millis(500);
/// A call takes at most the timeout, and the time that a busy machine needs to notice.
const BOUND: Duration = Duration::from_millis(1_500);
const CALLS: u32 = 50;

/// A server in its own folder.
struct Server {
    script: &'static str,
    folder: PathBuf,
    options: &'static str,
    url: String,
}

impl Server {
    fn start(script: &'static str, options: &'static str) -> Self {
        let folder = env::temp_dir().join(format!("tower-tagging-outage-{}", id()));
        let mut server = Self { script, folder, options, url: String::new() };
        server.url = server.control("start");
        server
    }

    /// Runs the script, and returns what it prints.
    fn control(&self, action: &str) -> String {
        let output = Command::new("bash")
            .args([self.script, action])
            .arg(&self.folder)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("VALKEY_OPTIONS", self.options)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{} {action}", self.script);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control("remove");
    }
}

fn take(ledger: &Ledger, id: Uuid) -> Result<Reserved, LedgerError> {
    let start = Instant::now();
    let result = reserve(ledger.backend(), "[\"outage\"]", id, MINUTE, &[("", true, budget(1, 1_000))], false);
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    result
}

/// Tries until the circuit closes.
fn take_again(ledger: &Ledger, id: Uuid) {
    let start = Instant::now();
    while let Err(error) = take(ledger, id) {
        assert!(start.elapsed() < MINUTE, "{error}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn reserved(ledger: &Ledger) -> i64 {
    let usage = wait(ledger.backend().scan("[\"outage\"]", "", SLOT, 9)).unwrap();
    usage[0].reserved
}

/// `pause` keeps the server from answering until what it returns is dropped.
fn survives_outages<P>(server: &Server, pause: impl Fn() -> P) {
    let ledger = open(&server.url, "", TIMEOUT);
    take_again(&ledger, id());
    let errors = ledger.status().errors;

    // A restart between two calls.
    server.control("stop");
    server.control("start");
    assert!(take(&ledger, id()).unwrap().is_admitted);
    assert_eq!((ledger.status().errors, reserved(&ledger)), (errors, 2));

    // Down.
    server.control("stop");
    let start = Instant::now();
    (0..CALLS).for_each(|_| drop(take(&ledger, id()).unwrap_err()));
    assert!(start.elapsed() < TIMEOUT * CALLS / 4, "most calls fail at once");
    let status = ledger.status();
    assert_eq!((status.errors, status.is_available), (errors + u64::from(CALLS), false));
    server.control("start");
    take_again(&ledger, id());
    assert!(ledger.status().is_available);
    assert_eq!(reserved(&ledger), 3);

    // No answer. What was sent may be executed or not, and is repeated with the same id.
    let unknown = id();
    let paused = pause();
    let error = take(&ledger, unknown).unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
    drop(paused);
    take_again(&ledger, unknown);
    assert_eq!(reserved(&ledger), 4);

    // Killed.
    server.control("kill");
    take(&ledger, id()).unwrap_err();
    server.control("start");
    take_again(&ledger, unknown);
    assert_eq!(reserved(&ledger), 4);
}

#[test]
#[ignore = "starts a Postgres server"]
fn postgres_survives_outages() {
    let server = Server::start("tests/postgres.sh", "");
    survives_outages(&server, || {
        Transaction::start(&server, "LOCK TABLE tagging_ledger_series IN ACCESS EXCLUSIVE MODE")
    });
}

/// A transaction of Postgres, which holds its locks until it is dropped.
struct Transaction {
    client: tokio_postgres::Client,
    runtime: runtime::Runtime,
}

impl Transaction {
    fn start(server: &Server, sql: &str) -> Self {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&server.url, NoTls).await.unwrap();
            tokio::spawn(connection.map(drop));
            client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
            client
        });
        Self { client, runtime }
    }

    /// Waits until a number of other transactions wait for locks.
    fn wait_for(&self, waiting: i64) {
        let start = Instant::now();
        let count = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted";
        let count = || self.runtime.block_on(self.client.query_one(count, &[])).unwrap().get::<_, i64>(0);
        while count() != waiting {
            assert!(start.elapsed() < MINUTE, "{waiting} transactions should wait");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
#[ignore = "starts a Postgres server"]
fn a_dropped_reservation_is_released_by_a_settlement_that_overtakes_it() {
    let server = Server::start("tests/postgres.sh", "");
    let ledger = open(&server.url, "", MINUTE);
    let text = "[\"outage\"]";
    assert!(reserve(ledger.backend(), text, id(), MINUTE, &[("", true, budget(1, 9))], false).unwrap().is_admitted);
    let locked = Transaction::start(&server, "SELECT FROM tagging_ledger_series FOR UPDATE");
    let request = id();
    let checks = [Check { series: 0..text.len(), is_enforced: true, rule: 0, kind: budget(1, 9) }];
    let reservation = Reservation { id: request, lease: MINUTE, text, checks: &checks, wants_states: false };
    let reply = ledger.backend().reserve(&reservation);
    locked.wait_for(1);
    drop(reply);
    let settlement = Settlement { id: request, time: now(), charges: Vec::new(), rates: Vec::new() };
    let settled = ledger.backend().settle(vec![settlement]);
    locked.wait_for(2);
    drop(locked);
    wait(settled).unwrap();
    assert_eq!(reserved(&ledger), 1);
}

/// Lets a server go on.
struct Resume<'a>(&'a Server);

impl Drop for Resume<'_> {
    fn drop(&mut self) {
        self.0.control("resume");
    }
}

#[test]
#[ignore = "starts a Valkey server"]
fn redis_survives_outages() {
    let server = Server::start("tests/valkey.sh", "");
    survives_outages(&server, || {
        server.control("pause");
        Resume(&server)
    });
}

#[test]
#[ignore = "starts a Valkey server"]
fn loads_scripts_that_the_server_has_lost() {
    let server = Server::start("tests/valkey.sh", "");
    let ledger = open(&server.url, "", MINUTE);
    let mut client = redis::Client::open(server.url.as_str()).unwrap().get_connection().unwrap();
    for taken in 1..4 {
        assert!(reserve(ledger.backend(), "[\"outage\"]", id(), MINUTE, &[("", true, budget(1, 9))], false).is_ok());
        assert_eq!(reserved(&ledger), taken);
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut client).unwrap();
    }
    assert_eq!(ledger.status().errors, 0);
}

#[test]
#[ignore = "starts Valkey servers"]
fn follows_the_node_of_a_cluster_that_has_the_keys() {
    let nodes = ["--cluster-enabled yes"; 2].map(|options| Server::start("tests/valkey.sh", options));
    let [mut without, mut with] =
        nodes.each_ref().map(|node| redis::Client::open(node.url.as_str()).unwrap().get_connection().unwrap());
    redis::cmd("CLUSTER").arg(&["ADDSLOTSRANGE", "0", "16383"]).exec(&mut with).unwrap();
    let port = nodes[1].url.rsplit_once(':').unwrap().1.trim_end_matches("/0").to_owned();
    redis::cmd("CLUSTER").arg(&["MEET", "127.0.0.1", &port]).exec(&mut without).unwrap();
    let start = Instant::now();
    // Both nodes must know each other.
    for node in [&mut without, &mut with] {
        while !redis::cmd("CLUSTER").arg("INFO").query::<String>(node).unwrap().contains("cluster_state:ok") {
            assert!(start.elapsed() < MINUTE);
            thread::sleep(Duration::from_millis(20));
        }
    }
    let ledger = open(&nodes[0].url, "", MINUTE);
    assert!(take(&ledger, id()).unwrap().is_admitted);
    assert_eq!(reserved(&ledger), 1);
    assert!(take(&ledger, id()).unwrap().is_admitted);
    // So does a call that no request waits for.
    assert_eq!(reserved(&open(&nodes[0].url, "", MINUTE)), 2);
    assert_eq!(ledger.status().errors, 0);
}
