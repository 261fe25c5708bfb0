//! What viewers of the dashboard cannot do: see the keys of others, leave the dashboard by a redirect, or read its errors.
#![cfg(feature = "dashboard")]

#[path = "common/api.rs"]
mod api;
#[path = "common/pages.rs"]
mod pages;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use http::StatusCode;
use tower_tagging::{
    Event, Scope,
    analytics::{Analytics, Grant, api::RegistryAccess},
    dashboard::Dashboard,
    sink::BatchWriter,
    store::SqliteStore,
    tags,
};

use api::{ADMIN, secret};
use pages::{crawl, get, post, text};

/// The days of the sample events.
const DAYS: &str = "r=2026-06-01..2026-06-03";

fn dashboard(analytics: Analytics) -> Router {
    let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
    Router::new().nest("/tagging", Dashboard::new(analytics, access).into_router())
}

/// A key with many requests and values is the breakdown of the overview, and the one that typos are compared with, unless
/// only others use it.
#[tokio::test]
async fn a_key_that_only_others_use_is_neither_the_breakdown_nor_a_hint() {
    let mut events = api::samples();
    for at in 0..60 {
        let tags = tags! { "secret_project" => format!("merger-{}", at % 6) };
        let event = Event::builder().time(api::hour(3)).workspace("globex").tags(Scope::Request, tags);
        events.push(Arc::new(event.build()));
    }
    let tags = tags! { "secretProject" => "mine" };
    events.push(Arc::new(Event::builder().time(api::hour(3)).workspace("acme").tags(Scope::Request, tags).build()));
    for analytics in api::stores(&events) {
        for key in ["secret_project", "secretProject"] {
            analytics.activate_key(key).await.unwrap();
        }
        let app = dashboard(analytics);
        for (path, page) in crawl(&app, &format!("/tagging?{DAYS}"), &secret("acme"), 100).await {
            assert!(!page.html.contains("secret_project"), "{path}: {}", text(&page.html));
        }
        let own = get(&app, &format!("/tagging/keys?{DAYS}"), &secret("acme")).await;
        assert!(own.html.contains("secretProject") && !own.html.contains("like "), "{}", text(&own.html));
        let all = get(&app, &format!("/tagging/keys?{DAYS}"), ADMIN).await;
        assert!(text(&all.html).contains("like secret_project?"), "{}", text(&all.html));
        for key in [ADMIN, &secret("globex")] {
            let page = get(&app, &format!("/tagging?{DAYS}"), key).await;
            assert!(page.html.contains("Cost per hour by secret_project"), "{}", text(&page.html));
        }
    }
}

/// A relative reference whose first segment has a colon is an absolute URL.
#[tokio::test]
async fn no_redirect_leaves_the_dashboard() {
    let app = dashboard(api::memory(&api::samples()));
    let page = get(&app, "/tagging/by/http:evil.example?r=30d", ADMIN).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "./http:evil.example"));
}

/// A store in a file, which is removed at the end.
struct StoreFile(PathBuf);

impl StoreFile {
    fn new(name: &str) -> (Self, Analytics, rusqlite::Connection) {
        let path = std::env::temp_dir().join(format!("tower_tagging_{name}_{}.db", std::process::id()));
        let store = SqliteStore::open(&path).unwrap();
        store.migrate().unwrap();
        store.writer().write(&api::samples()).unwrap();
        let database = rusqlite::Connection::open(&path).unwrap();
        (Self(path), Analytics::new(store), database)
    }
}

impl Drop for StoreFile {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", self.0.display()));
        }
    }
}

const FORM: [(&str, &str); 2] = [("sec-fetch-site", "same-origin"), ("x-portkey-api-key", ADMIN)];

/// What the database answered is in the log of the server only.
#[tokio::test]
async fn pages_do_not_show_the_errors_of_the_store() {
    let (_file, analytics, database) = StoreFile::new("errors");
    let app = dashboard(analytics);
    database.execute_batch("ALTER TABLE tagging_events RENAME TO secret_events").unwrap();
    database.execute_batch("ALTER TABLE tagging_rollups RENAME TO secret_rollups").unwrap();
    let page = get(&app, &format!("/tagging?{DAYS}"), ADMIN).await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    let shown = text(&page.html);
    assert!(shown.contains("The store failed. The log of the server has the cause, with the reference "), "{shown}");
    assert!(!shown.contains("tagging_") && !shown.contains("no such table"), "{shown}");
}

/// A change of a key that failed is shown until the next one of this key.
#[tokio::test]
async fn failed_changes_of_keys_are_shown_to_administrators() {
    let (_file, analytics, database) = StoreFile::new("failures");
    let app = dashboard(analytics.clone());
    let trigger = "CREATE TRIGGER broken BEFORE UPDATE ON tagging_keys BEGIN SELECT RAISE(ABORT, 'a secret'); END";
    database.execute_batch(trigger).unwrap();
    for action in ["activate", "deactivate"] {
        let page = post(&app, &format!("/tagging/keys/{action}"), &FORM, "key=team").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        let expected = format!("The attempt to {action} team at ");
        let mut shown = String::new();
        for _ in 0..500 {
            shown = text(&get(&app, "/tagging/keys", ADMIN).await.html);
            if shown.contains(&expected) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(shown.contains(&expected) && shown.contains("failed. The store failed."), "{shown}");
        assert!(!shown.contains("a secret"), "{shown}");
    }
    assert!(!get(&app, "/tagging/keys", &secret("acme-admin")).await.html.contains("The attempt"));
    assert_eq!(analytics.changes(None, 10, &Grant::everything()).await.unwrap(), []);
    database.execute_batch("DROP TRIGGER broken").unwrap();
    post(&app, "/tagging/keys/deactivate", &FORM, "key=team").await;
    assert!(!get(&app, "/tagging/keys", ADMIN).await.html.contains("The attempt"));
    assert_eq!(analytics.changes(None, 10, &Grant::everything()).await.unwrap().len(), 1);
}

/// An administrator who closes the page does not stop the change halfway.
#[tokio::test]
async fn a_key_is_deactivated_and_logged_although_the_caller_left() {
    let (_file, analytics, _database) = StoreFile::new("left");
    let app = dashboard(analytics.clone());
    let request = post(&app, "/tagging/keys/deactivate", &FORM, "key=team");
    assert!(tokio::time::timeout(Duration::ZERO, request).await.is_err());
    let mut changes = Vec::new();
    for _ in 0..500 {
        changes = analytics.changes(None, 10, &Grant::everything()).await.unwrap();
        if !changes.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((changes.len(), changes[0].action.as_str()), (1, "deactivate key"));
    assert!(analytics.keys().await.unwrap().iter().any(|key| key.name == "team" && !key.is_active));
}

/// The menu has the views of the caller, also if others share many.
#[tokio::test]
async fn the_menu_begins_with_the_views_of_the_caller() {
    for analytics in api::stores(&[]) {
        let app = dashboard(analytics);
        let save = async |key: &str, form: &str| {
            let headers = [("sec-fetch-site", "same-origin"), ("x-portkey-api-key", &secret(key))];
            assert_eq!(post(&app, "/tagging/views/save", &headers, form).await.status, StatusCode::SEE_OTHER);
        };
        for at in 10..40 {
            save("acme-view", &format!("name=other{at}&page=&query=&shared=1")).await;
        }
        save("acme", "name=zzz&page=&query=").await;
        let page = get(&app, "/tagging/budgets", &secret("acme")).await;
        assert!(page.html.contains("<bdi>zzz</bdi>") && page.html.contains("other10"), "{}", page.html);
        let list = get(&app, "/tagging/views", &secret("acme")).await;
        assert!(list.html.contains("zzz") && list.html.contains("other39"));
    }
}
