//! Several processes share limits through `LimitLayer`: together, they pass a limit exactly, and a killed one leaves nothing
//! reserved.
//!
//! The processes are this program, started again with the test `child`.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_tagging::{
    TaggingLayer,
    limit::{Amount, Ledger, LimitDecision, LimitLayer, LimitRule, Limiter, Window},
    sink::{self, Delivery},
};
use uuid::Uuid;

const PROCESSES: usize = 4;
const LIMIT: u64 = 1_000;
const LEASE: Duration = Duration::from_secs(2);
/// How long requests of processes that are killed take.
const PAUSE: Duration = Duration::from_millis(20);
/// How many requests each of them has at a time.
const AT_A_TIME: usize = 16;
/// How many requests all of them may have at a time, including those that have ended but are not settled yet.
const CONCURRENT: u32 = 400;
/// How long the others run that share the limits with them.
const RUN: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(60);

/// A service whose limits are counted by the server, in a series of this name.
struct Service {
    layer: LimitLayer,
    limiter: Limiter,
    delivery: Delivery,
}

impl Service {
    fn new(url: &str, name: &str, limit: u64, lease: Duration) -> Self {
        let budget = LimitRule::budget(name, Amount::requests(limit), Window::month("UTC").unwrap());
        let concurrent = LimitRule::concurrency(format!("{name} at a time"), CONCURRENT);
        let limiter = Limiter::builder()
            .rule(budget.on_store_error(LimitDecision::Deny).build().unwrap())
            .rule(concurrent.on_store_error(LimitDecision::Deny).build().unwrap())
            .ledger(Ledger::from_url(url, TIMEOUT).unwrap())
            .lease(lease)
            .build()
            .unwrap();
        let layer =
            LimitLayer::new(limiter.clone(), TaggingLayer::builder().sink(sink::from_fn(|_| {})).build().unwrap());
        let delivery = layer.delivery();
        Self { layer, limiter, delivery }
    }

    /// Sends requests one after the other, while `goes_on` for the status of the last one. Returns how many passed.
    async fn send(&self, pause: Duration, goes_on: impl Fn(StatusCode) -> bool) -> u64 {
        let handler = get(move || tokio::time::sleep(pause));
        let app = Router::new().route("/", handler).layer(self.layer.clone());
        let mut passed = 0;
        loop {
            let response = app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
            let status = response.status();
            response.into_body().collect().await.unwrap();
            passed += u64::from(status == StatusCode::OK);
            if !goes_on(status) {
                return passed;
            }
        }
    }

    /// Returns what is settled and reserved of the budget.
    async fn used(&self) -> (i64, i64) {
        let groups = self.limiter.usage().await.unwrap();
        groups.iter().fold((0, 0), |(settled, reserved), group| {
            (settled + group.settled.count(), reserved + group.reserved.count())
        })
    }

    /// Returns `true` if as many requests can run at a time as the limit allows.
    async fn is_free(&'static self) -> bool {
        let requests: Vec<_> =
            (0..CONCURRENT).map(|_| tokio::spawn(self.send(Duration::from_secs(5), |_| false))).collect();
        let mut passed = 0;
        for request in requests {
            passed += request.await.unwrap();
        }
        passed == u64::from(CONCURRENT)
    }
}

/// Writes a line for the parent. The child runs with `--nocapture`.
fn say(line: &str) {
    println!("\n@{line}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
#[ignore = "other tests start it as a process"]
fn child() {
    let Ok(work) = env::var("LIMIT_CHILD") else { return };
    let (url, name) = (env::var("LIMIT_URL").unwrap(), env::var("LIMIT_NAME").unwrap());
    runtime().block_on(async {
        let (is_spending, is_endless) = (work == "spend", work == "endless");
        let service: &'static Service = Box::leak(Box::new(if is_spending {
            Service::new(&url, &name, LIMIT, TIMEOUT)
        } else {
            Service::new(&url, &name, 1_000_000, LEASE)
        }));
        let (tasks, pause) = if is_spending { (64, Duration::ZERO) } else { (AT_A_TIME, PAUSE) };
        let start = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                tokio::spawn(service.send(pause, move |status| {
                    if is_spending {
                        return status == StatusCode::OK;
                    }
                    assert_eq!(status, StatusCode::OK);
                    say("done");
                    is_endless || start.elapsed() < RUN
                }))
            })
            .collect();
        let mut passed = 0;
        for task in tasks {
            passed += task.await.unwrap();
        }
        let report = service.delivery.shutdown(TIMEOUT).await;
        assert!(report.is_complete(), "{report}");
        assert_eq!(service.limiter.ledger().status().errors, 0);
        say(&format!("passed {passed}"));
    });
}

/// A process, and what it writes for its parent.
struct Process {
    child: Child,
    /// How many requests have ended. The total of a process that spends a budget is what its reader returns.
    done: Arc<AtomicUsize>,
    total: JoinHandle<Option<usize>>,
}

impl Process {
    fn start(work: &str, url: &str, name: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .envs([("LIMIT_CHILD", work), ("LIMIT_URL", url), ("LIMIT_NAME", name)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let done = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&done);
        let total = std::thread::spawn(move || {
            let mut total = None;
            for line in lines.map_while(Result::ok) {
                match line.strip_prefix('@') {
                    Some("done") => _ = count.fetch_add(1, Ordering::SeqCst),
                    Some(line) => total = line.strip_prefix("passed ").map(|total| total.parse().unwrap()),
                    None => {}
                }
            }
            total
        });
        Self { child, done, total }
    }

    /// Returns how many requests passed, as far as a killed process has reported them.
    fn passed(mut self, is_killed: bool) -> i64 {
        let status = self.child.wait().unwrap();
        assert_eq!(status.success(), !is_killed, "{status}");
        let total = self.total.join().unwrap();
        i64::try_from(total.unwrap_or_else(|| self.done.load(Ordering::SeqCst))).unwrap()
    }
}

fn server(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run tests/run.sh"))
}

fn unique(name: &str) -> String {
    format!("{name} {}", Uuid::new_v4())
}

fn processes_pass_exactly_the_budget(url: &str) {
    let name = unique("exact");
    let processes: Vec<_> = (0..PROCESSES).map(|_| Process::start("spend", url, &name)).collect();
    let passed: i64 = processes.into_iter().map(|process| process.passed(false)).sum();
    assert_eq!(passed, i64::try_from(LIMIT).unwrap());
    runtime().block_on(async {
        let service = Service::new(url, &name, LIMIT, TIMEOUT);
        assert_eq!(service.used().await, (passed, 0));
        assert_eq!(service.send(Duration::ZERO, |_| false).await, 0);
    });
}

fn killed_processes_leave_nothing_reserved(url: &str) {
    let name = unique("killed");
    let killed = PROCESSES / 2;
    let work = |at: usize| if at < killed { "endless" } else { "run" };
    let mut processes: Vec<_> = (0..PROCESSES).map(|at| Process::start(work(at), url, &name)).collect();
    runtime().block_on(async {
        let service: &'static Service = Box::leak(Box::new(Service::new(url, &name, 1_000_000, LEASE)));
        // In the middle of the requests of all processes.
        let start = Instant::now();
        while processes.iter().any(|process| process.done.load(Ordering::SeqCst) < 2 * AT_A_TIME) {
            assert!(start.elapsed() < TIMEOUT, "a process does not pass requests");
            tokio::time::sleep(PAUSE).await;
        }
        for process in &mut processes[..killed] {
            process.child.kill().unwrap();
        }
        let passed: Vec<i64> =
            processes.into_iter().enumerate().map(|(at, process)| process.passed(at < killed)).collect();
        let start = Instant::now();
        while service.used().await.1 > 0 {
            assert!(start.elapsed() < TIMEOUT, "{:?}", service.used().await);
            tokio::time::sleep(PAUSE).await;
        }
        // The events of a killed process may be lost, but no request counts twice.
        let (settled, _) = service.used().await;
        let certain: i64 = passed[killed..].iter().sum();
        let possible = passed.iter().sum::<i64>() + i64::try_from(killed * AT_A_TIME).unwrap();
        assert!((certain..=possible).contains(&settled), "{settled} settled, {passed:?} passed");
        while !service.is_free().await {
            assert!(start.elapsed() < TIMEOUT, "killed requests still run");
            tokio::time::sleep(LEASE).await;
        }
    });
}

#[test]
#[ignore = "needs Postgres, which tests/run.sh starts"]
fn processes_pass_exactly_the_budget_on_postgres() {
    processes_pass_exactly_the_budget(&server("DATABASE_URL"));
}

#[test]
#[ignore = "needs Valkey, which tests/run.sh starts"]
fn processes_pass_exactly_the_budget_on_valkey() {
    processes_pass_exactly_the_budget(&server("REDIS_URL"));
}

#[test]
#[ignore = "needs Postgres, which tests/run.sh starts"]
fn killed_processes_leave_nothing_reserved_on_postgres() {
    killed_processes_leave_nothing_reserved(&server("DATABASE_URL"));
}

#[test]
#[ignore = "needs Valkey, which tests/run.sh starts"]
fn killed_processes_leave_nothing_reserved_on_valkey() {
    killed_processes_leave_nothing_reserved(&server("REDIS_URL"));
}
