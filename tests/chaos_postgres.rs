//! Writes 200,000 events to a Postgres server that is stopped, killed, and disconnected under load.

mod common;

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use common::{TempFolder, delivery::assert_balance};
use futures_util::FutureExt;
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, EventLayer, Sink, Tags,
    analytics::{Analytics, Grant, Query, TimeRange, jiff::Timestamp},
    sink::{BatchWriter, Queued, RetryPolicy, Spool, SpoolMode, WriteError},
    store::{
        PostgresStore,
        tokio_postgres::{Client, NoTls, connect},
    },
    usage::Usage,
};

const EVENTS: usize = 200_000;

/// A server of its own, which this test stops and kills.
struct Server(PathBuf);

impl Server {
    /// Returns the server and its URL.
    fn start() -> (Arc<Self>, String) {
        let folder = std::env::temp_dir().join(format!("tower-tagging-chaos-{}", std::process::id()));
        let server = Arc::new(Self(folder));
        let url = server.control("start");
        (server, url)
    }

    /// Returns what the script prints: `start` prints the URL.
    fn control(&self, action: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres.sh");
        let output = Command::new("bash").arg(script).arg(action).arg(&self.0).output().unwrap();
        assert!(output.status.success(), "tests/postgres.sh {action}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control("remove");
    }
}

async fn client(url: &str) -> Client {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match connect(url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client;
            }
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A writer that is sometimes slow, fails, or panics, in addition to the failures of the server.
struct Flaky<W> {
    inner: W,
    calls: u64,
}

impl<W: BatchWriter> BatchWriter for Flaky<W> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.calls += 1;
        match self.calls % 41 {
            7 => thread::sleep(Duration::from_millis(20)),
            13 => return Err(WriteError::retryable("flaky")),
            // Stores the events, but reports a failure.
            19 => {
                self.inner.write(events)?;
                return Err(WriteError::retryable("the response is lost"));
            }
            29 if events.len() > 1 => panic!("flaky"),
            _ => {}
        }
        self.inner.write(events)
    }
}

fn emit(layer: &EventLayer, numbers: std::ops::Range<usize>, emitted: &AtomicUsize) {
    let service = layer.layer(service_fn(|request: Request<usize>| {
        let number = *request.body();
        let tags = request.extensions().get::<Tags>().unwrap();
        tags.insert("number", number.to_string());
        match number % 10_000 {
            // Events that a database may reject.
            1 => tags.set_error("NUL \0 and a lot of text ".repeat(100)),
            2 => tags.insert("'); DROP TABLE tagging_events; --", "\"}\\u0000{\u{FFFD}"),
            3 => tags.record_usage(Usage::tokens(u64::MAX, u64::MAX).of("openai", "gpt-4o")),
            _ => tags.record_usage(Usage::tokens(10, 20).of("openai", "gpt-4o")),
        }
        std::future::ready(Ok::<_, Infallible>(Response::new(String::new())))
    }));
    for number in numbers {
        let request = Request::get("/v1/chat/completions").body(number).unwrap();
        service.clone().oneshot(request).now_or_never().unwrap().unwrap();
        emitted.fetch_add(1, SeqCst);
        if number % 100 == 0 {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts a Postgres server"]
async fn every_event_is_stored_once() {
    let (server, admin_url) = Server::start();
    let name = format!("chaos_{}", std::process::id());
    client(&admin_url).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (base, _) = admin_url.rsplit_once('/').unwrap();
    let url = format!("{base}/{name}");
    let store = PostgresStore::from_url(&url).unwrap().connect_timeout(Duration::from_secs(2));
    store.migrate().await.unwrap();
    let folder = TempFolder::new("chaos-postgres");
    let start_sink = || {
        let spool = Spool::builder(folder.path()).mode(SpoolMode::OnOverflow).open().unwrap();
        let policy = RetryPolicy::new().min_delay(Duration::from_millis(5)).max_delay(Duration::from_millis(200));
        let writer = Flaky { inner: store.writer(), calls: 0 };
        Queued::builder("postgres", writer).capacity(2_000).max_batch(500).retry(policy).spool(spool).build()
    };
    let sink = start_sink();
    let layer = EventLayer::new(sink.clone());
    let emitted = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..2)
        .map(|part| {
            let (layer, emitted) = (layer.clone(), Arc::clone(&emitted));
            thread::spawn(move || emit(&layer, part * EVENTS / 2..(part + 1) * EVENTS / 2, &emitted))
        })
        .collect();
    let reach = async |part: usize| {
        while emitted.load(SeqCst) < EVENTS * part / 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let disconnect = async || {
        let query =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
        client(&admin_url).await.execute(query, &[&name]).await.unwrap();
    };
    let control = async |action: &'static str| {
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || server.control(action)).await.unwrap();
    };
    for part in 1..=9 {
        reach(part).await;
        match part {
            2 | 8 => {
                control("kill").await;
                tokio::time::sleep(Duration::from_millis(1500)).await;
                control("start").await;
            }
            5 => {
                control("stop").await;
                tokio::time::sleep(Duration::from_millis(1500)).await;
                control("start").await;
            }
            _ => disconnect().await,
        }
    }
    for thread in threads {
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    }
    // Shut down while the server is disconnected once more. The next process continues.
    disconnect().await;
    let delivery = layer.delivery();
    let first = delivery.shutdown(Duration::from_millis(300)).await;
    let first = first.sinks[0].clone();
    assert_balance(&first);
    assert_eq!((first.accepted, first.dropped()), (EVENTS as u64, 0), "{first}");
    assert!(first.retried > 0 && first.spool.written > 0, "{first:?}");
    let in_memory = first.in_flight() - first.spool.waiting;
    drop((layer, sink, delivery));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let sink = start_sink();
    let deadline = Instant::now() + Duration::from_secs(180);
    while sink.delivery().report().sinks[0].in_flight() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let delivery = sink.delivery();
    let second = delivery.shutdown(Duration::from_secs(20)).await;
    let second = second.sinks[0].clone();
    assert_balance(&second);
    assert_eq!((second.in_flight(), second.dropped()), (0, 0), "{second}");
    println!("{first}\n{second}\nthe writer held {in_memory} events");
    let client = client(&url).await;
    let row = client
        .query_one(
            "SELECT count(*), count(DISTINCT id), count(DISTINCT raw_metadata->>'number') FROM tagging_events",
            &[],
        )
        .await
        .unwrap();
    let counts: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
    let all = i64::try_from(EVENTS).unwrap();
    assert_eq!(counts, [all; 3], "each event is stored once: {first}; {second}");
    let analytics = Analytics::new(PostgresStore::from_url(&url).unwrap());
    let all_times = TimeRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX).unwrap();
    let answer = analytics.run(&Query::new(all_times.clone()), &Grant::everything()).await.unwrap();
    assert_eq!((answer.total.totals.requests, answer.basis.rows_read), (EVENTS as u64, 0));
    assert_eq!(analytics.verify(&all_times).await.unwrap(), Vec::<String>::new());
}
