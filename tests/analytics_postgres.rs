//! Tests of analytics over a real Postgres server, which `tests/run.sh` starts.

#[path = "common/analytics_checks.rs"]
mod analytics_checks;
#[path = "common/analytics_suite.rs"]
mod analytics_suite;

use tokio_postgres::NoTls;
use tower_tagging::{analytics::Analytics, sink::BatchWriter, store::PostgresStore};

/// Creates an empty database with our tables.
async fn open(name: &str, configure: impl Fn(PostgresStore) -> PostgresStore) -> PostgresStore {
    let server = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a Postgres server whose user may create databases: tests/run.sh starts one");
    let name = format!("tower_tagging_analytics_{name}");
    let (admin, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (host, _) = server.rsplit_once('/').unwrap();
    let store = configure(PostgresStore::from_url(&format!("{host}/{name}")).unwrap());
    store.migrate().await.unwrap();
    store
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
    fn write(
        &mut self,
        events: &[std::sync::Arc<tower_tagging::Event>],
    ) -> Result<(), tower_tagging::sink::WriteError> {
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
check!(totals_agree_after_rows_are_deleted);
check!(hostile_keys_and_values_are_only_values);

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "needs Postgres: run by tests/run.sh"]
async fn totals_agree_while_keys_are_activated() {
    let store = open("activated", |store| store).await;
    let writers: Vec<Box<dyn BatchWriter>> = (0..3).map(|_| Box::new(store.writer()) as _).collect();
    analytics_checks::totals_agree_while_keys_are_activated(&Analytics::new(store), writers, 30).await;
}
