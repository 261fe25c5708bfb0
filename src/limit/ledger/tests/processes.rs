//! Several processes share a ledger: all of them pass their limits together, and a killed one leaves nothing behind.
//!
//! The processes are this program, started again with the test `child`.

use std::{
    collections::HashSet,
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::time::sleep;
use uuid::Uuid;

use super::{
    super::{
        Ledger,
        backend::{Charge, Check, CheckKind, Reservation, Reserved, Settlement},
    },
    support::{MINUTE, SLOT, concurrency, forever, id, now, open, rate, reserve, shared, url_of, wait, window},
};

/// Writes a line for the parent, which the harness does not capture.
fn say(line: &str) {
    writeln!(io::stdout(), "\n@{line}").unwrap();
}

const LIMIT: i64 = 1_000;
const LEASE: Duration = Duration::from_secs(2);
/// How long processes run that are killed, or whose clocks differ.
const RUN: Duration = Duration::from_secs(2);
/// The length of the windows of processes whose clocks differ.
const WINDOW: i64 = 1_000_000;
const PER_WINDOW: i64 = 20;
/// The pace of processes whose clocks differ.
const PACE: Duration = Duration::from_millis(50);

/// The work of a process.
#[derive(Clone)]
struct Caller {
    ledger: Arc<Ledger>,
    series: String,
    /// By how much its clock differs, in microseconds.
    clock: i64,
}

impl Caller {
    async fn reserve(&self, id: Uuid, lease: Duration, kinds: &[CheckKind]) -> Reserved {
        let check =
            |kind: &CheckKind| Check { series: 0..self.series.len(), is_enforced: true, rule: 0, kind: kind.clone() };
        let checks: Vec<Check> = kinds.iter().map(check).collect();
        let reservation = Reservation { id, lease, text: &self.series, checks: &checks, wants_states: false };
        let reply = self.ledger.backend().reserve(&reservation);
        reply.wait().await.unwrap()
    }

    async fn settle(&self, id: Uuid, slot: i64) {
        let reply = self.ledger.backend().settle(vec![settlement(id, &self.series, slot)]);
        reply.wait().await.unwrap();
    }

    /// Takes from a budget until it is exhausted. Returns the number of calls that passed.
    async fn spend(self) -> i64 {
        let mut passed = 0;
        loop {
            let id = id();
            if !self.reserve(id, MINUTE, &[window(SLOT, SLOT, 1, LIMIT)]).await.is_admitted {
                return passed;
            }
            passed += 1;
            self.settle(id, SLOT).await;
        }
    }

    /// Reports each call before and after its settlement. Returns the number of calls.
    async fn hold(self) -> i64 {
        let (start, mut passed) = (Instant::now(), 0);
        while start.elapsed() < RUN {
            let id = id();
            let checks = [window(SLOT, SLOT, 1, i64::MAX), concurrency(1_000)];
            assert!(self.reserve(id, LEASE, &checks).await.is_admitted);
            say(&format!("try {id}"));
            sleep(Duration::from_millis(20)).await;
            self.settle(id, SLOT).await;
            say(&format!("done {id}"));
            passed += 1;
        }
        passed
    }

    /// Takes from the window of its own clock, and from a rate.
    async fn pace(self) -> i64 {
        let start = Instant::now();
        let mut passed = 0;
        while start.elapsed() < RUN {
            let id = id();
            let slot = (now() + self.clock).div_euclid(WINDOW) * WINDOW;
            let is_in_window = self.reserve(id, MINUTE, &[window(slot, slot, 1, PER_WINDOW)]).await.is_admitted;
            if is_in_window {
                self.settle(id, slot).await;
            }
            let paced = Self { series: format!("{} rate", self.series), ..self.clone() };
            passed += i64::from(paced.reserve(Uuid::now_v7(), MINUTE, &[rate(PACE, 2 * PACE)]).await.is_admitted);
            sleep(Duration::from_millis(5)).await;
        }
        passed
    }
}

fn settlement(id: Uuid, series: &str, slot: i64) -> Settlement {
    let charge = Charge { series: series.to_owned(), slot, keep_until: forever(), amount: 1 };
    Settlement { id, time: now(), charges: vec![charge], rates: Vec::new() }
}

/// Runs tasks, and returns the sum of what they return.
fn run<F: Future<Output = i64> + Send + 'static>(tasks: usize, caller: &Caller, task: fn(Caller) -> F) -> i64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let running: Vec<_> = (0..tasks).map(|_| tokio::spawn(task(caller.clone()))).collect();
        let mut sum = 0;
        for task in running {
            sum += task.await.unwrap();
        }
        sum
    })
}

#[test]
#[ignore = "other tests start it as a process"]
fn child() {
    let Ok(work) = env::var("LEDGER_CHILD") else { return };
    let caller = Caller {
        ledger: shared(&url_of("LEDGER_URL"), "", MINUTE),
        series: env::var("LEDGER_SERIES").unwrap(),
        clock: env::var("LEDGER_CLOCK").unwrap().parse().unwrap(),
    };
    let passed = match work.as_str() {
        "spend" => run(64, &caller, Caller::spend),
        "hold" => run(16, &caller, Caller::hold),
        _ => run(8, &caller, Caller::pace),
    };
    assert_eq!(caller.ledger.status().errors, 0);
    say(&format!("passed {passed}"));
}

/// A process, and the lines that it reports.
struct Process {
    child: Child,
    lines: JoinHandle<Vec<String>>,
}

impl Process {
    fn start(url: &str, series: &str, work: &str, clock: i64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["limit::ledger::tests::processes::child", "--exact", "--ignored", "--nocapture"])
            .env("LEDGER_CHILD", work)
            .env("LEDGER_URL", url)
            .env("LEDGER_SERIES", series)
            .env("LEDGER_CLOCK", clock.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let report = |line: io::Result<String>| line.ok()?.strip_prefix('@').map(str::to_owned);
        Self { child, lines: thread::spawn(move || lines.filter_map(report).collect()) }
    }

    /// Returns what it reports until its end.
    fn lines(mut self) -> Vec<String> {
        assert!(self.child.wait().unwrap().success());
        self.lines.join().unwrap()
    }

    fn passed(self) -> i64 {
        let lines = self.lines();
        lines.iter().find_map(|line| line.strip_prefix("passed ")).unwrap().parse().unwrap()
    }
}

fn unique_series(name: &str) -> String {
    format!("[\"{name} {}\"]", id())
}

#[test]
fn tasks_pass_a_budget_in_memory_exactly() {
    let caller = Caller { ledger: Arc::new(Ledger::memory()), series: unique_series("spend"), clock: 0 };
    assert_eq!(run(256, &caller, Caller::spend), LIMIT);
}

fn processes_pass_a_budget_exactly(url: &str) {
    let series = unique_series("spend");
    let processes: Vec<_> = (0..4).map(|_| Process::start(url, &series, "spend", 0)).collect();
    assert_eq!(processes.into_iter().map(Process::passed).sum::<i64>(), LIMIT);
    let usage = wait(open(url, "", MINUTE).backend().scan(&series, "", 0, 9)).unwrap();
    assert_eq!((usage[0].settled, usage[0].reserved), (LIMIT, 0));
}

/// Returns the ids of reports that start with a word. The last report of a killed process may be cut off.
fn ids(lines: &[String], word: &str) -> HashSet<Uuid> {
    lines.iter().filter_map(|line| line.strip_prefix(word)?.parse().ok()).collect()
}

fn killed_processes_leave_nothing_behind(url: &str) {
    let series = unique_series("hold");
    let mut processes: Vec<_> = (0..4).map(|_| Process::start(url, &series, "hold", 0)).collect();
    thread::sleep(RUN / 2);
    let mut lines = Vec::new();
    for mut killed in processes.drain(..2) {
        killed.child.kill().unwrap();
        killed.child.wait().unwrap();
        lines.extend(killed.lines.join().unwrap());
    }
    lines.extend(processes.into_iter().flat_map(Process::lines));
    thread::sleep(LEASE + Duration::from_millis(100));
    let ledger = open(url, "", MINUTE);
    let usage = || wait(ledger.backend().scan(&series, "", 0, 9)).unwrap().remove(0);
    assert_eq!(usage().reserved, 0, "reservations are left");
    let state = reserve(ledger.backend(), &series, id(), MINUTE, &[("", true, concurrency(1))], true).unwrap();
    assert_eq!(state.states[0].used, 0, "requests are left");
    let (tried, done) = (ids(&lines, "try "), ids(&lines, "done "));
    let settled = usize::try_from(usage().settled).unwrap();
    assert!(!done.is_empty() && done.len() <= settled && settled <= tried.len(), "{} {settled}", done.len());
    // Whoever is not sure settles again. In the end, each is counted once.
    wait(ledger.backend().settle(tried.iter().map(|id| settlement(*id, &series, SLOT)).collect())).unwrap();
    assert_eq!(usize::try_from(usage().settled).unwrap(), tried.len());
}

fn clocks_that_differ_overrun_nothing(url: &str) {
    let (series, start) = (unique_series("pace"), Instant::now());
    let clocks = [-5_000_000, 0, 5_000_000];
    let processes: Vec<_> = clocks.map(|clock| Process::start(url, &series, "pace", clock)).into_iter().collect();
    let passed = processes.into_iter().map(Process::passed).sum::<i64>();
    let most = i64::try_from(start.elapsed().as_millis() / PACE.as_millis()).unwrap() + 2;
    assert!(0 < passed && passed <= most, "{passed} of {most}");
    let usage = wait(open(url, "", MINUTE).backend().scan(&series, "", 0, 99)).unwrap();
    assert!(usage.len() >= clocks.len(), "{usage:?}");
    assert!(usage.iter().all(|slot| slot.settled <= PER_WINDOW && slot.reserved == 0), "{usage:?}");
    assert!(usage.iter().any(|slot| slot.settled == PER_WINDOW), "{usage:?}");
}

macro_rules! on_each_server {
    ($($test:ident)*) => {
        mod postgres {
            $(#[test] #[ignore = "needs Postgres, which tests/run.sh starts"] fn $test() {
                super::$test(&super::url_of("DATABASE_URL"));
            })*
        }
        mod redis {
            $(#[test] #[ignore = "needs Valkey, which tests/run.sh starts"] fn $test() {
                super::$test(&super::url_of("REDIS_URL"));
            })*
        }
    };
}

on_each_server! {
    processes_pass_a_budget_exactly
    killed_processes_leave_nothing_behind
    clocks_that_differ_overrun_nothing
}
