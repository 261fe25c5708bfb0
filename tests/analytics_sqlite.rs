//! Tests of analytics over SQLite.

#[path = "common/analytics_checks.rs"]
mod analytics_checks;
#[path = "common/analytics_suite.rs"]
mod analytics_suite;
mod common;

use common::TempFolder;
use tower_tagging::{analytics::Analytics, sink::BatchWriter, store::SqliteStore};

fn open(name: &str) -> (TempFolder, SqliteStore) {
    let folder = TempFolder::new(&format!("analytics-sqlite-{name}"));
    let store = SqliteStore::open(folder.file("events.db")).unwrap();
    store.migrate().unwrap();
    (folder, store)
}

/// `ANALYTICS_SEEDS` sets the number of random runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_as_the_memory_store_does() {
    let seeds = std::env::var("ANALYTICS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3);
    for seed in 0..seeds {
        let (_folder, store) = open(&format!("seed-{seed}"));
        let writers = store.clone();
        println!("seed {seed}");
        analytics_suite::run(seed, Analytics::new(store), || Box::new(writers.writer())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_sums_as_the_memory_store_does() {
    let folder = TempFolder::new("analytics-sqlite-without-sums");
    let store = SqliteStore::open(folder.file("events.db")).unwrap().without_rollups().active_keys(["team"]);
    store.migrate().unwrap();
    let writers = store.clone();
    analytics_suite::run(50, Analytics::new(store), || Box::new(writers.writer())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_are_correct_in_each_zone() {
    let (_folder, store) = open("days");
    analytics_checks::days_are_correct_in_each_zone(&Analytics::new(store.clone()), &mut store.writer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_agree_after_rows_are_deleted() {
    let (_folder, store) = open("deleted");
    analytics_checks::totals_agree_after_rows_are_deleted(&Analytics::new(store.clone()), &mut store.writer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_agree_while_keys_are_activated() {
    let (_folder, store) = open("activated");
    let writers: Vec<Box<dyn BatchWriter>> = vec![Box::new(store.writer()), Box::new(store.writer())];
    analytics_checks::totals_agree_while_keys_are_activated(&Analytics::new(store.clone()), writers, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_distant_times_are_summed() {
    let (_folder, store) = open("distant");
    analytics_checks::requests_of_distant_times_are_summed(&Analytics::new(store.clone()), &mut store.writer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extreme_values_are_stored_and_summed() {
    let (_folder, store) = open("extreme");
    analytics_checks::extreme_values_are_stored_and_summed(&Analytics::new(store.clone()), &mut store.writer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_keys_and_values_are_only_values() {
    let (_folder, store) = open("hostile");
    let analytics = Analytics::new(store.clone());
    analytics_checks::hostile_keys_and_values_are_only_values(&analytics, &mut store.writer()).await;
}
