//! Tests of analytics over a real Postgres server, which `tests/run.sh` starts.

#[path = "common/analytics_suite.rs"]
mod analytics_suite;

use tokio_postgres::NoTls;
use tower_tagging::{analytics::Analytics, store::PostgresStore};

/// Creates an empty database, and returns its URL.
async fn database(name: &str) -> String {
    let server = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a Postgres server whose user may create databases: tests/run.sh starts one");
    let name = format!("tower_tagging_analytics_{name}");
    let (admin, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (host, _) = server.rsplit_once('/').unwrap();
    format!("{host}/{name}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Postgres: bash tests/run.sh"]
async fn answers_as_the_memory_store_does() {
    let seeds = std::env::var("ANALYTICS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4);
    for seed in 100..100 + seeds {
        let store = PostgresStore::from_url(&database(&format!("seed_{seed}")).await).unwrap();
        let store = if seed % 2 == 0 { store } else { store.monthly_partitions() };
        store.migrate().await.unwrap();
        let writers = store.clone();
        println!("seed {seed}");
        analytics_suite::run(seed, Analytics::new(store), || Box::new(writers.writer())).await;
    }
}
