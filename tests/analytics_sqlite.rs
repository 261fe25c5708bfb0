//! Tests of analytics over SQLite.

#[path = "common/analytics_suite.rs"]
mod analytics_suite;
mod common;

use common::TempFolder;
use tower_tagging::{analytics::Analytics, store::SqliteStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_as_the_memory_store_does() {
    let seeds = std::env::var("ANALYTICS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4);
    for seed in 0..seeds {
        let folder = TempFolder::new(&format!("analytics-sqlite-{seed}"));
        let store = SqliteStore::open(folder.file("events.db")).unwrap();
        store.migrate().unwrap();
        let writers = store.clone();
        println!("seed {seed}");
        analytics_suite::run(seed, Analytics::new(store), || Box::new(writers.writer())).await;
    }
}
