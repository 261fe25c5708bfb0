//! The log of changes, the verifications of sums, the load of queries, and the list of sessions, on each store.
#![cfg(feature = "dashboard")]

#[path = "common/api.rs"]
mod api;
#[path = "common/pages.rs"]
mod pages;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::Router;
use http::StatusCode;
use tower_tagging::{
    Event, Scope,
    analytics::{
        Analytics, AnalyticsSettings, Change, Dimension, Filter, Grant, QueryError, Retention, TimeRange,
        api::RegistryAccess,
    },
    dashboard::Dashboard,
    sink::BatchWriter,
    store::{Field, SqliteStore},
    tags,
    usage::{Cost, LlmCall, Money, Operation, Usage},
};

use api::{ADMIN, secret};
use pages::{crawl, get, post, text};

const DAY: Duration = Duration::from_secs(86_400);
const DAYS: &str = "r=2026-06-01..2026-06-03";

fn dashboard(analytics: Analytics) -> Router {
    let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
    Router::new().nest("/tagging", Dashboard::new(analytics, access).into_router())
}

/// Returns author, action, subject, workspace, and count of all changes, the oldest first.
async fn log(analytics: &Analytics) -> Vec<(String, String, String, String, u64)> {
    let mut changes = analytics.changes(None, 1_000, &Grant::everything()).await.unwrap();
    changes.reverse();
    let text = |text: Option<String>| text.unwrap_or_default();
    changes
        .into_iter()
        .map(|change| (text(change.author), change.action, change.subject, text(change.workspace), change.count))
        .collect()
}

fn entry(author: &str, action: &str, subject: &str, workspace: &str) -> (String, String, String, String, u64) {
    (author.into(), action.into(), subject.into(), workspace.into(), 1)
}

fn june() -> TimeRange {
    TimeRange::parse("2026-06-01T00:00:00Z", "2026-06-04T00:00:00Z", "UTC").unwrap()
}

/// Returns the rows of a table of a page as text.
fn rows(html: &str, id: &str) -> Vec<String> {
    let table = html.split(&format!("<section class=\"panel\" aria-labelledby=\"{id}\"")).nth(1).unwrap_or_default();
    let table = table.split("</section>").next().unwrap();
    table.split("<tr>").skip(2).map(|row| text(&row.replace("</t", " </t"))).collect()
}

#[tokio::test]
async fn changes_have_their_authors() {
    for analytics in api::stores(&api::samples()) {
        let app = dashboard(analytics.clone());
        let headers = [("sec-fetch-site", "same-origin"), ("x-portkey-api-key", ADMIN)];
        for action in ["deactivate", "activate"] {
            let page = post(&app, &format!("/tagging/keys/{action}"), &headers, "key=team").await;
            assert_eq!(page.status, StatusCode::SEE_OTHER);
            for _ in 0..500 {
                let keys = analytics.keys().await.unwrap();
                let is_active = keys.iter().any(|key| key.name == "team" && key.is_active && key.is_indexed);
                if is_active == (action == "activate") {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let mut expected = vec![
            entry("administrator", "deactivate key", "team", ""),
            entry("administrator", "activate key", "team", ""),
        ];
        for _ in 0..500 {
            if log(&analytics).await.len() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(log(&analytics).await, expected);
        // What is so already is no change.
        analytics.activate_key("team").await.unwrap();
        analytics.deactivate_key("unknown").await.unwrap();
        analytics.maintain(SystemTime::now(), Retention::forever()).await.unwrap();
        assert_eq!(log(&analytics).await, expected);

        let ada = analytics.authored_by("ada");
        let pair = || (Dimension::tag("tenant_id"), Dimension::from(Field::Model));
        for _ in 0..2 {
            ada.activate_pair(pair().0, pair().1).await.unwrap();
        }
        for _ in 0..2 {
            ada.deactivate_pair(pair().0, pair().1).await.unwrap();
        }
        let has_sums = !format!("{analytics:?}").contains("Memory");
        if has_sums {
            expected.push(entry("ada", "activate pair", "metadata.tenant_id and model", ""));
            expected.push(entry("ada", "deactivate pair", "metadata.tenant_id and model", ""));
        }
        let settings = AnalyticsSettings::from_toml(
            "[analytics]\nactive_keys = [\"_user\", \"project\"]\npairs = [[\"metadata._user\", \"model\"]]\n",
        );
        let settings = settings.unwrap();
        for _ in 0..2 {
            analytics.apply(&settings).await.unwrap();
        }
        let found = log(&analytics).await;
        assert!(found.contains(&entry("", "activate key", "project", "")), "{found:?}");
        assert!(found.contains(&entry("", "deactivate key", "feature", "")), "{found:?}");
        assert_eq!(found.contains(&entry("", "activate pair", "metadata._user and model", "")), has_sums, "{found:?}");
        assert_eq!(found[..expected.len()], expected);
        let before = found.len();
        ada.rebuild(&june()).await.unwrap();
        let found = log(&analytics).await;
        assert_eq!(found[before..], [entry("ada", "rebuild sums", "2026-06-01 – 2026-06-04", "")]);

        // The deletions of a day are one change.
        let now = SystemTime::now();
        for days in [3, 2, 2] {
            let age = now.duration_since(api::hour(24 * days)).unwrap();
            let age = if days == 3 { age + 2 * DAY } else { age };
            analytics.maintain(now, Retention::forever().rows(age)).await.unwrap();
        }
        let deleted: Vec<_> =
            log(&analytics).await.into_iter().filter(|change| change.1 == "delete requests").collect();
        assert_eq!(deleted.len(), 1, "{deleted:?}");
        assert_eq!((deleted[0].4, deleted[0].2.as_str()), (9, "older than 2026-06-03 00:00 UTC"));
        let page = get(&app, "/tagging/health", ADMIN).await;
        let rows = rows(&page.html, "changes");
        assert!(rows.iter().any(|row| row.contains("the application") && row.contains("9 older than")), "{rows:?}");
        assert!(rows.iter().any(|row| row.contains("ada") && row.contains("rebuild sums")), "{rows:?}");
    }
}

#[tokio::test]
async fn exports_and_shared_views_are_changes_of_their_workspace() {
    for analytics in api::stores(&api::samples()) {
        let (app, rest) = (dashboard(analytics.clone()), api::api(analytics.clone()));
        let body = serde_json::json!({ "filters": api::filters(), "requested_data": ["id"] });
        let export = api::post(&rest, "/logs/exports", &secret("acme"), body).await.ok();
        let id = export["id"].as_str().unwrap();
        api::post(&rest, &format!("/logs/exports/{id}/start"), &secret("acme"), serde_json::json!({})).await.ok();
        let headers = [("sec-fetch-site", "same-origin"), ("x-portkey-api-key", &secret("globex"))];
        post(&app, "/tagging/views/save", &headers, "name=secret&shared=1").await;
        post(&app, "/tagging/views/save", &headers, "name=private").await;
        analytics.record_change(Change::new("raise limit", "budget").in_workspace(Some("acme"))).await.unwrap();
        analytics.record_change(Change::new("lower limit", "all")).await.unwrap();
        let log = log(&analytics).await;
        let expected = [
            entry("key acme", "create export", id, "acme"),
            entry("key acme", "start export", id, "acme"),
            entry("key globex", "share view", "secret", "globex"),
            entry("", "raise limit", "budget", "acme"),
            entry("", "lower limit", "all", ""),
        ];
        assert_eq!(log, expected);
        // A tenant sees its own changes only.
        let page = async |key: &str| rows(&get(&app, "/tagging/health", key).await.html, "changes").join("\n");
        let acme = page(&secret("acme")).await;
        assert!(acme.contains("create export") && acme.contains("raise limit"), "{acme}");
        assert!(!acme.contains("secret") && !acme.contains("lower limit"), "{acme}");
        let globex = page(&secret("globex")).await;
        assert!(globex.contains("share view") && !globex.contains("acme") && !globex.contains("limit"), "{globex}");
        let all = page(ADMIN).await;
        assert!(all.contains("secret") && all.contains("create export") && all.contains("lower limit"), "{all}");
        assert!(!all.contains("private"));
        let narrow = Grant::only([Filter::is(Field::Workspace, "acme"), Filter::is(Dimension::tag("team"), "a")]);
        assert_eq!(analytics.changes(None, 10, &narrow).await.unwrap(), []);
        let none = narrow.with_permissions(std::iter::empty().collect());
        assert!(matches!(analytics.changes(None, 10, &none).await, Err(QueryError::Forbidden(_))));
    }
}

/// The log is bounded by workspace, so that no tenant removes the changes of others, and it is paged.
#[tokio::test]
async fn the_log_is_bounded_and_paged() {
    let analytics = api::memory(&[]);
    analytics.record_change(Change::new("first", "of all")).await.unwrap();
    for at in 0..10_020 {
        analytics.record_change(Change::new("change", format!("{at}")).in_workspace(Some("acme"))).await.unwrap();
    }
    let acme = Grant::only([Filter::is(Field::Workspace, "acme")]);
    let (mut before, mut found) = (None, Vec::new());
    loop {
        let page = analytics.changes(before, 1_000, &acme).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        found.extend(page.into_iter().map(|change| change.subject));
    }
    let expected: Vec<String> = (20..10_020).rev().map(|at| at.to_string()).collect();
    assert!(found == expected, "{} {:?} {:?}", found.len(), found.first(), found.last());
    let mut all = analytics.changes(before, 1_000, &Grant::everything()).await.unwrap();
    assert_eq!(all.pop().unwrap().subject, "of all");

    for analytics in api::stores(&[]) {
        for at in 0..120 {
            let subject = format!("<b>{at}</b> of the log");
            analytics.record_change(Change::new("change", subject).in_workspace(Some("acme"))).await.unwrap();
        }
        let app = dashboard(analytics);
        let (mut path, mut found) = (format!("/tagging/health?{DAYS}"), Vec::new());
        loop {
            let page = get(&app, &path, &secret("acme")).await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
            found.extend(rows(&page.html, "changes"));
            let next = page.attributes("href").into_iter().find(|link| link.contains("before="));
            let Some(next) = next else { break };
            path = format!("/tagging/health{next}");
        }
        assert_eq!(found.len(), 120);
        assert!(found[0].contains("<b>119</b> of the log") && found[119].contains("<b>0</b> of the log"), "{found:?}");
        assert_eq!(get(&app, "/tagging/health?before=x", ADMIN).await.status, StatusCode::BAD_REQUEST);
    }
}

/// Callers whose grant is narrower than a workspace, or by a tag, have their own room in the log.
#[tokio::test]
async fn callers_with_a_narrow_grant_remove_no_changes_of_others() {
    let path = std::env::temp_dir().join(format!("tower_tagging_rooms_{}.db", std::process::id()));
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    for (analytics, is_database) in [(api::memory(&[]), false), (Analytics::new(store), true)] {
        analytics.record_change(Change::new("first", "of all")).await.unwrap();
        analytics.record_change(Change::new("first", "of acme").in_workspace(Some("acme"))).await.unwrap();
        let team = |workspace: &[&str]| {
            let workspaces = workspace.iter().map(|slug| Filter::is(Field::Workspace, *slug));
            Grant::only(workspaces.chain([Filter::is(Dimension::tag("team"), "a")]))
        };
        let grants = [team(&[]), team(&["acme"])];
        for (grant, author) in grants.iter().zip(["tag", "workspace and tag"]) {
            let caller = analytics.authored_by(author);
            let view = caller.save_view("mine", "", "", true, grant).await.unwrap();
            if is_database {
                // Copies of the change, after it.
                let sql =
                    "WITH RECURSIVE places (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM places WHERE at < 10010)
                           INSERT INTO tagging_changes
                           SELECT substr(id, 1, 14) || printf('ffff-ffff-%012d', at), changed_at, author, action,
                                  subject, workspace, amount
                           FROM places, tagging_changes WHERE author = ?1";
                database.execute(sql, [author]).unwrap();
            }
            for at in 0..if is_database { 1 } else { 10_010 } {
                caller.share_view(view.id, at % 2 == 1, grant).await.unwrap();
            }
        }
        let count = async |grant: &Grant| {
            let (mut before, mut counts) = (None, [0, 0]);
            loop {
                let page = analytics.changes(before, 1_000, grant).await.unwrap();
                let Some(last) = page.last() else { break counts };
                before = Some(last.id);
                counts[0] += page.iter().filter(|change| change.action == "first").count();
                counts[1] += page.iter().filter(|change| change.author.is_some()).count();
            }
        };
        assert_eq!(count(&Grant::everything()).await, [2, 20_000]);
        assert_eq!(count(&Grant::only([Filter::is(Field::Workspace, "acme")])).await, [1, 10_000]);
        assert_eq!(count(&Grant::only([Filter::is(Field::Workspace, "acm")])).await, [0, 0]);
        let all = analytics.changes(None, 1_000, &Grant::everything()).await.unwrap();
        assert!(all.iter().all(|change| change.workspace.as_deref().is_none_or(|slug| slug == "acme")));
    }
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

#[tokio::test]
async fn verifications_are_kept_and_shown() {
    for analytics in api::stores(&api::samples()) {
        let app = dashboard(analytics.clone());
        let page = get(&app, "/tagging", ADMIN).await;
        assert!(page.html.contains("Sums never verified"), "{}", text(&page.html));
        assert_eq!(analytics.last_verification().await.unwrap(), None);
        assert_eq!(analytics.verify(&june()).await.unwrap(), [""; 0]);
        let found = analytics.last_verification().await.unwrap().unwrap();
        assert_eq!((found.from, found.to, found.differences), (api::hour(0), api::hour(72), 0));
        assert!(found.time.elapsed().unwrap() < Duration::from_secs(60));
        for (key, path) in [(ADMIN.to_owned(), "/tagging"), (secret("acme"), "/tagging/requests")] {
            let page = get(&app, path, &key).await;
            assert!(page.html.contains("Sums verified just now"), "{}", text(&page.html));
        }
        let page = get(&app, "/tagging/health", ADMIN).await;
        let found = rows(&page.html, "verifications").join("\n");
        assert!(found.contains("Jun 1, 2026 – Jun 3, 2026") && found.contains("no differences"), "{found}");

        // Each day is verified once after its end, whenever the check is made, and whatever else was verified.
        let now = SystemTime::now();
        let mut days = Vec::new();
        for _ in 0..7 {
            assert_eq!(analytics.verify_if_due(now).await.unwrap(), Some(Vec::new()));
            let found = analytics.verifications(1).await.unwrap();
            assert_eq!(found[0].to.duration_since(found[0].from).unwrap(), DAY);
            days.push(found[0].to);
        }
        assert!(days[0] <= now && days[0] > now - DAY);
        assert!(days.windows(2).all(|pair| pair[0] == pair[1] + DAY), "{days:?}");
        assert_eq!(analytics.verify_if_due(now).await.unwrap(), None);
        for day in 1..4 {
            // At the start of the day, some hours after the last check.
            let later = days[0] + DAY * day;
            assert_eq!(analytics.verify_if_due(later - Duration::from_secs(1)).await.unwrap(), None);
            assert_eq!(analytics.verify_if_due(later).await.unwrap(), Some(Vec::new()));
            assert_eq!(analytics.verify_if_due(later).await.unwrap(), None);
        }
        let count = analytics.verifications(100).await.unwrap().len();
        // A wider range replaces what it covers.
        let wide = TimeRange::parse("2026-05-31T12:00:00Z", "2026-06-05T12:00:00Z", "UTC").unwrap();
        analytics.verify(&wide).await.unwrap();
        let found = analytics.verifications(10).await.unwrap();
        assert_eq!((found.len(), found[0].from, found[0].to), (count.min(10), api::hour(0) - DAY, api::hour(5 * 24)));
    }
}

/// Differences are shown until their whole range was verified without any, or computed again.
#[tokio::test]
async fn differences_are_shown_until_they_are_resolved() {
    let path = std::env::temp_dir().join(format!("tower_tagging_differences_{}.db", std::process::id()));
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().unwrap();
    store.writer().write(&api::samples()).unwrap();
    let analytics = Analytics::new(store);
    let app = dashboard(analytics.clone());
    let database = rusqlite::Connection::open(&path).unwrap();
    let changed =
        database.execute("UPDATE tagging_rollups SET requests = requests + 1 WHERE workspace LIKE '%acme'", []);
    assert!(changed.unwrap() > 0);
    let differences = analytics.verify(&june()).await.unwrap();
    assert!(!differences.is_empty());
    let first = TimeRange::parse("2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z", "UTC").unwrap();
    assert_eq!(analytics.verify(&first).await.unwrap(), [""; 0]);
    for key in [ADMIN.to_owned(), secret("globex")] {
        let page = get(&app, "/tagging", &key).await;
        assert!(page.html.contains("Sums differ from the requests"), "{}", text(&page.html));
    }
    let found = rows(&get(&app, "/tagging/health", ADMIN).await.html, "verifications").join("\n");
    assert!(found.contains(&format!("{} differences", differences.len())) && found.contains("acme"), "{found}");
    // The differences of a tenant are not shown to another one.
    let page = get(&app, "/tagging/health", &secret("globex")).await;
    assert!(rows(&page.html, "verifications").join("\n").contains("differences") && !page.html.contains("acme"));
    let day = TimeRange::parse("2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z", "UTC").unwrap();
    analytics.rebuild(&day).await.unwrap();
    assert!(get(&app, "/tagging", ADMIN).await.html.contains("Sums differ"));
    analytics.authored_by("ada").rebuild(&june()).await.unwrap();
    let page = get(&app, "/tagging", ADMIN).await;
    assert!(page.html.contains("Sums verified just now"), "{}", text(&page.html));
    let found = rows(&get(&app, "/tagging/health", ADMIN).await.html, "verifications").join("\n");
    assert!(found.contains("computed again"), "{found}");
    assert_eq!(analytics.verify(&june()).await.unwrap(), [""; 0]);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

/// Differences in rows that were deleted cannot be resolved, so they expire.
#[tokio::test]
async fn differences_expire_with_their_rows() {
    let path = std::env::temp_dir().join(format!("tower_tagging_expired_{}.db", std::process::id()));
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().unwrap();
    store.writer().write(&api::samples()).unwrap();
    let analytics = Analytics::new(store);
    let database = rusqlite::Connection::open(&path).unwrap();
    let changed =
        database.execute("UPDATE tagging_rollups SET requests = requests + 1 WHERE workspace LIKE '%acme'", []);
    assert!(changed.unwrap() > 0);
    assert!(!analytics.verify(&june()).await.unwrap().is_empty());
    let now = SystemTime::now();
    let keep = |start: SystemTime| Retention::forever().rows(now.duration_since(start).unwrap());
    analytics.maintain(now, keep(api::hour(0))).await.unwrap();
    let found = analytics.last_verification().await.unwrap().unwrap();
    assert!(found.differences > 0 && found.from == api::hour(0));
    // A part of the second day was deleted.
    analytics.maintain(now, keep(api::hour(25))).await.unwrap();
    let found = analytics.last_verification().await.unwrap().unwrap();
    assert!(found.differences > 0 && (found.from, found.to) == (api::hour(48), api::hour(72)), "{found:?}");
    analytics.maintain(now, keep(api::hour(72))).await.unwrap();
    assert_eq!(analytics.last_verification().await.unwrap(), None);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

/// A database of an earlier version gets the new tables. Until then, its pages are shown without them.
#[tokio::test]
async fn existing_databases_get_the_tables() {
    let path = std::env::temp_dir().join(format!("tower_tagging_earlier_{}.db", std::process::id()));
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().unwrap();
    store.writer().write(&api::samples()).unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch("DROP TABLE tagging_views; DROP TABLE tagging_changes; DROP TABLE tagging_verifications")
        .unwrap();
    let analytics = Analytics::new(store.clone());
    let app = dashboard(analytics.clone());
    let page = get(&app, &format!("/tagging?{DAYS}"), ADMIN).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.texts("value")[1] == "13" && !page.html.contains("Sums "), "{}", text(&page.html));
    let error = analytics.record_change(Change::new("a", "b")).await.unwrap_err().to_string();
    assert!(error.contains("run migrate()"), "{error}");
    for _ in 0..2 {
        store.migrate().unwrap();
        analytics.record_change(Change::new("a", "b")).await.unwrap();
    }
    assert_eq!(log(&analytics).await, [entry("", "a", "b", ""), entry("", "a", "b", "")]);
    assert!(get(&app, &format!("/tagging?{DAYS}"), ADMIN).await.html.contains("Sums never verified"));
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

/// Returns the numbers of the health page about the queries of pages: asked, executed, failed, running, most at a time.
async fn load(app: &Router) -> Vec<u64> {
    let page = get(app, &format!("/tagging/health?{DAYS}"), ADMIN).await;
    let rows = rows(&page.html, "queries");
    let numbers = rows[0].split_whitespace().skip(1);
    numbers.map(|number| number.replace(',', "").parse().unwrap()).collect()
}

/// Viewers who open the same page at the same time cost as much as one.
#[tokio::test]
async fn equal_queries_in_flight_are_executed_once() {
    for analytics in api::stores(&api::samples()) {
        let app = dashboard(analytics);
        let path = format!("/tagging?{DAYS}");
        let before = load(&app).await;
        let alone = get(&app, &path, ADMIN).await;
        let after = load(&app).await;
        // A page of health asks, too.
        let of_health = load(&app).await[1] - after[1];
        let of_page = after[1] - before[1] - of_health;
        assert!(of_page >= 6, "{before:?} {after:?}");
        let viewers = 40;
        let pages = futures_util::future::join_all((0..viewers).map(|_| get(&app, &path, ADMIN))).await;
        let shared = load(&app).await;
        for page in &pages {
            assert_eq!(page.status, StatusCode::OK);
            assert_eq!(page.texts("value"), alone.texts("value"));
        }
        let last = load(&app).await;
        let of_health_asked = last[0] - shared[0];
        let (asked, executed) = (shared[0] - after[0] - 2 * of_health_asked, shared[1] - after[1] - 2 * of_health);
        assert_eq!(asked, viewers * (after[0] - before[0] - of_health_asked), "{after:?} {shared:?}");
        assert!(executed >= of_page && executed < 3 * of_page, "{executed} of {asked}, {of_page} alone");
        assert!((1..=2).contains(&shared[4]), "{shared:?}");
        assert_eq!((shared[2], shared[3]), (0, 0));

        // Viewers with different grants never share an answer.
        let [acme, globex] = [secret("acme"), secret("globex")];
        let (one, other) = tokio::join!(get(&app, &path, &acme), get(&app, &path, &globex));
        assert_ne!(one.texts("value")[1], other.texts("value")[1]);
    }
}

#[tokio::test]
async fn queries_of_pages_are_limited() {
    let app = dashboard(api::memory(&api::samples()));
    for (path, problem) in [
        ("/tagging/explore?r=2026-06-01..2026-06-01&b=minute", "more than 1000 buckets of a minute"),
        ("/tagging/explore?n=201", "expected 1 to 200"),
    ] {
        let page = get(&app, path, ADMIN).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(text(&page.html).contains(problem), "{path}: {}", text(&page.html));
    }
}

/// A request of a session.
fn turn(hour: u64, workspace: &str, session: Option<&str>, nanos: Option<u64>, status: u16) -> Arc<Event> {
    let mut call = LlmCall::builder().provider("openai").operation(Operation::Chat).response_model("gpt-4o");
    call = call.usage(Usage::tokens(100, 20));
    if let Some(nanos) = nanos {
        call = call.cost(Cost::custom(Money::from_nano_usd(nanos)));
    }
    let mut event = Event::builder()
        .time(api::hour(hour))
        .path("/v1/chat")
        .workspace(workspace)
        .status(StatusCode::from_u16(status).unwrap())
        .duration(Duration::from_millis(200))
        .llm(call.build());
    if let Some(session) = session {
        event = event.tags(Scope::Request, tags! { "session_id" => session, "agent_run_id" => "run-1" });
    }
    Arc::new(event.build())
}

#[tokio::test]
async fn sessions_are_listed_with_what_they_cost() {
    let long = "x".repeat(2_000);
    let mut events = vec![
        turn(1, "acme", Some("chat-1"), Some(1_500_000_000), 200),
        turn(3, "acme", Some("chat-1"), Some(2_000_000_000), 500),
        turn(5, "acme", Some("chat-2"), None, 200),
        turn(2, "globex", Some("chat-g"), Some(70_000_000), 200),
        turn(4, "acme", None, Some(9_000_000_000), 200),
    ];
    let hostile = ["<script>alert(1)</script>", "..", ".", "a/b?c#d", "\" onmouseover='x", "new\nline", &long, "ü 🦀"];
    events.extend(hostile.iter().map(|value| turn(8, "lab", Some(value), Some(10_000_000), 200)));
    for analytics in api::stores(&events) {
        let app = dashboard(analytics);
        let page = get(&app, &format!("/tagging/sessions?{DAYS}"), &secret("acme")).await;
        let found = rows(&page.html, "sessions");
        assert_eq!(found.len(), 2, "{found:?}");
        let cells: Vec<Vec<&str>> = found.iter().map(|row| row.split_whitespace().collect()).collect();
        assert_eq!(cells[0][..5], ["chat-2", "unpriced", "1", "0", "120"], "{found:?}");
        assert_eq!(cells[1][..7], ["chat-1", "$3.50", "2", "1", "240", "2", "h"], "{found:?}");
        assert!(page.html.contains("2 sessions by session_id") && !page.html.contains("chat-g"));
        let link = page.attributes("href").into_iter().find(|link| link.contains("chat-1")).unwrap();
        assert_eq!(link, format!("./sessions/session_id/chat-1?{DAYS}"));
        let session = get(&app, &format!("/tagging/{}", link.trim_start_matches("./")), &secret("acme")).await;
        assert!(session.status == StatusCode::OK && session.texts("value")[0] == "$3.50", "{}", text(&session.html));
        let other = get(&app, &format!("/tagging/sessions/session_id/chat-1?{DAYS}"), &secret("globex")).await;
        assert!(other.html.contains("No requests"));
        // Sums alone have no links to single requests.
        let sums = get(&app, &format!("/tagging/sessions?{DAYS}"), &secret("acme-view")).await;
        assert!(sums.html.contains("chat-1") && !sums.attributes("href").iter().any(|link| link.contains("chat-1")));
        assert_eq!(get(&app, "/tagging/sessions", &secret("acme-logs")).await.status, StatusCode::FORBIDDEN);

        let traces = get(&app, &format!("/tagging/sessions?{DAYS}&g=trace_id"), ADMIN).await;
        assert_eq!(rows(&traces.html, "sessions").len(), events.len());
        let link = traces.attributes("href").into_iter().find(|link| link.contains("traces/")).unwrap();
        let trace = get(&app, &format!("/tagging/{}", link.trim_start_matches("./")), ADMIN).await;
        assert!(trace.status == StatusCode::OK && !trace.html.contains("No requests"));
        let runs = get(&app, &format!("/tagging/sessions?{DAYS}&g=agent_run_id"), ADMIN).await;
        assert_eq!(rows(&runs.html, "sessions").len(), 1);
        let page = get(&app, "/tagging/sessions?g=session_id", ADMIN).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "./sessions"));
        assert_eq!(get(&app, "/tagging/sessions?g=model", ADMIN).await.status, StatusCode::BAD_REQUEST);
        let unused = get(&app, &format!("/tagging/sessions?{DAYS}&g=chat"), ADMIN).await;
        assert!(unused.html.contains("No request in this range has a value of chat"));

        for (path, page) in crawl(&app, &format!("/tagging/sessions?{DAYS}"), ADMIN, 150).await {
            for broken in ["<script>", " onmouseover='"] {
                assert!(!page.html.contains(broken) || path.contains("/assets/"), "{path}");
            }
        }
    }
}

/// A list of many sessions has pages, and each session is on one of them.
#[tokio::test]
async fn many_sessions_have_pages() {
    let events: Vec<Arc<Event>> =
        (0..120).map(|at| turn(at % 70, "acme", Some(&format!("s-{at:03}")), Some(at * 1_000), 200)).collect();
    for analytics in api::stores(&events) {
        let app = dashboard(analytics);
        let (mut path, mut found) = (format!("/tagging/sessions?{DAYS}"), Vec::new());
        loop {
            let page = get(&app, &path, ADMIN).await;
            let names = rows(&page.html, "sessions").into_iter();
            found.extend(names.map(|row| row.split_whitespace().next().unwrap().to_owned()));
            let Some(next) = page.attributes("href").into_iter().find(|link| link.contains("p=")) else { break };
            path = format!("/tagging/sessions{next}");
        }
        found.sort();
        assert_eq!(found, (0..120).map(|at| format!("s-{at:03}")).collect::<Vec<_>>());
    }
}

/// Where requests were not recorded all the time, periods are not compared.
#[tokio::test]
async fn periods_are_compared_only_if_both_were_recorded() {
    let events: Vec<Arc<Event>> = (0..10 * 24).map(|hour| turn(hour, "acme", None, Some(1_000_000_000), 200)).collect();
    for analytics in api::stores(&events) {
        let app = dashboard(analytics);
        // June 6 to 10 and June 1 to 5.
        let page = get(&app, "/tagging?r=2026-06-06..2026-06-10", ADMIN).await;
        assert!(
            page.html.contains("0 %</span> vs previous") && page.html.contains("previous period</span>"),
            "{}",
            text(&page.html)
        );
        let compared = get(&app, "/tagging/compare?r=2026-06-06..2026-06-10", ADMIN).await;
        assert!(!compared.html.contains("not compared"), "{}", text(&compared.html));
        // The history starts within the previous period, and then with the range.
        for (range, reason) in
            [("2026-06-04..2026-06-10", "data since Jun 1"), ("2026-06-01..2026-06-10", "no earlier data")]
        {
            let page = get(&app, &format!("/tagging?r={range}"), ADMIN).await;
            assert!(page.html.contains(reason) && !page.html.contains("vs previous"), "{range}: {}", text(&page.html));
            assert!(!page.html.contains("previous period</span>"), "{range}");
            let explore = get(&app, &format!("/tagging/explore?r={range}"), ADMIN).await;
            assert!(!explore.html.contains("previous period</span>"), "{range}");
            let compared = get(&app, &format!("/tagging/compare?r={range}"), ADMIN).await;
            assert!(compared.html.contains(&format!("{reason}: the periods are not compared")), "{range}");
            let table = compared.html.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
            assert!(!table.contains(" %</span>") && !table.contains('×'), "{range}: {}", text(table));
        }
        let showback = get(&app, "/tagging/showback/workspace/acme?r=2026-06-01..2026-06-30", ADMIN).await;
        assert!(showback.html.contains("no earlier data"), "{}", text(&showback.html));
        // Nothing that others recorded counts.
        let globex = get(&app, "/tagging?r=2026-06-06..2026-06-10", &secret("globex")).await;
        assert!(!globex.html.contains("vs previous"));
    }
}

/// Large growth is a factor.
#[tokio::test]
async fn large_changes_are_factors() {
    let mut events = vec![turn(0, "acme", None, Some(1_000_000_000), 200)];
    events.extend((24..48).map(|hour| turn(hour, "acme", None, Some(2_000_000_000), 200)));
    let app = dashboard(api::memory(&events));
    let page = get(&app, "/tagging?r=2026-06-02..2026-06-02", ADMIN).await;
    assert!(page.html.contains("▲ ×48"), "{}", text(&page.html));
    let page = get(&app, "/tagging/compare?r=2026-06-02..2026-06-02", ADMIN).await;
    assert!(page.html.contains("×48") && page.html.contains("+100 %"), "{}", text(&page.html));
}
