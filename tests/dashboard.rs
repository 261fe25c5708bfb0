//! The pages of the dashboard, as browsers see them: links, numbers, hostile values, and what each viewer may see.
#![cfg(feature = "dashboard")]

#[path = "common/api.rs"]
mod api;
#[path = "common/pages.rs"]
mod pages;

use std::{collections::BTreeMap, sync::Arc};

use axum::Router;
use http::StatusCode;
use serde_json::json;
use tower_tagging::{
    Event, Scope,
    analytics::{Analytics, api::RegistryAccess},
    dashboard::Dashboard,
    tags,
    usage::{Cost, LlmCall, Money, Operation, Usage},
};

use api::{ADMIN, secret};
use pages::{crawl, get, post, text};

/// The days of the sample events.
const DAYS: &str = "r=2026-06-01..2026-06-03";
/// The largest size of a page.
const MAX_BYTES: usize = 100_000;

fn access() -> RegistryAccess {
    RegistryAccess::new(api::registry()).admin_key(ADMIN)
}

fn dashboard(analytics: Analytics) -> Router {
    Router::new().nest("/tagging", Dashboard::new(analytics, access()).into_router())
}

fn apps() -> Vec<Router> {
    api::stores(&api::samples()).into_iter().map(dashboard).collect()
}

/// Formats an amount: whole cents from one dollar on, else four digits, without zeros behind the cents.
fn dollars(nanos: f64) -> String {
    if nanos >= 1e9 {
        return format!("${:.2}", nanos / 1e9);
    }
    let text = format!("${:.4}", nanos / 1e9);
    text.strip_suffix("00").or(text.strip_suffix('0')).unwrap_or(&text).to_owned()
}

/// Every link of every page leads to a page, whatever the prefix is, without a redirect.
#[tokio::test]
async fn every_link_leads_to_a_page() {
    for app in apps() {
        let mut found = crawl(&app, &format!("/tagging?{DAYS}"), ADMIN, 150).await;
        let list = get(&app, &format!("/tagging/requests?{DAYS}"), ADMIN).await;
        let request = list.attributes("href").into_iter().find(|link| link.starts_with("requests/")).unwrap();
        found.extend(crawl(&app, &format!("/tagging/{request}"), ADMIN, 60).await);
        let mut kinds: Vec<&str> = found.keys().filter_map(|path| path.split(['?', '/']).nth(2)).collect();
        kinds.dedup();
        for kind in [
            "access",
            "assets",
            "budgets",
            "by",
            "compare",
            "explore",
            "explore.csv",
            "health",
            "keys",
            "requests",
            "sessions",
            "traces",
            "views",
        ] {
            assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
        }
    }
    let slash = Router::new().nest("/a/b/", Dashboard::new(api::memory(&api::samples()), access()).into_router());
    assert!(crawl(&slash, &format!("/a/b/?{DAYS}"), ADMIN, 60).await.len() == 60);
    let root = Dashboard::new(api::memory(&api::samples()), access()).into_router();
    assert!(crawl(&root, &format!("/?{DAYS}"), ADMIN, 60).await.len() == 60);
}

/// The policy has no exceptions, so pages have no inline styles or scripts.
#[tokio::test]
async fn pages_follow_their_policy() {
    let app = dashboard(api::memory(&api::samples()));
    let found = crawl(&app, &format!("/tagging?{DAYS}"), ADMIN, 150).await;
    for (path, page) in found {
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff", "{path}");
        let is_asset = path.contains("/assets/");
        let cache = if is_asset { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(page.headers["cache-control"], cache, "{path}");
        assert!(page.html.len() <= MAX_BYTES, "{path}: {}", page.html.len());
        if page.headers["content-type"].to_str().unwrap().starts_with("text/html") {
            assert!(
                !page.html.contains(" style=") && !page.html.contains("<style") && !page.html.contains(" onclick=")
            );
            let scripts = page.html.matches("<script").count();
            assert_eq!((scripts, page.html.matches("<script src=\"").count()), (1, 1), "{path}");
            assert!(page.html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{path}");
        }
    }
}

/// The cost on each page is that of the API.
#[tokio::test]
async fn pages_have_the_same_sums_as_the_api() {
    for analytics in api::stores(&api::samples()) {
        let rest = api::api(analytics.clone());
        let app = dashboard(analytics);
        let query = json!({
            "range": {"from": api::FROM, "to": api::TO},
            "measures": ["cost", "requests", "errors"],
        });
        for key in [ADMIN, &secret("acme"), &secret("globex")] {
            let answer = api::post(&rest, "/query", key, query.clone()).await.ok();
            let nanos = (answer["total"][0].as_f64().unwrap() * 1e9).round();
            let [requests, errors] = [1, 2].map(|at| answer["total"][at].as_u64().unwrap());
            let cost = dollars(nanos);

            let overview = get(&app, &format!("/tagging?{DAYS}"), key).await;
            assert_eq!(overview.texts("value")[..2], [cost.clone(), requests.to_string()]);
            let list = get(&app, &format!("/tagging/requests?{DAYS}"), key).await;
            assert!(list.html.contains(&format!("<h2 id=\"volume\">{requests} requests</h2>")), "{}", list.html);
            assert!(list.html.contains(&format!("{errors} errors")));
            assert_eq!(list.attributes("datetime").len() as u64, requests);

            // Each request is a turn of one trace.
            let traces = get(&app, &format!("/tagging/sessions?{DAYS}&g=trace_id"), key).await;
            let turns = traces.html.split("<tr><th scope=\"row\">").skip(1).map(|row| {
                let cells: Vec<String> = row.split("<td").map(|cell| text(&format!("<td{cell}"))).collect();
                cells[2].parse::<u64>().unwrap_or_else(|_| panic!("{cells:?}"))
            });
            assert_eq!(turns.sum::<u64>(), requests);

            for more in ["", "&g=_user", "&g=workspace&s=model&n=1", "&g=none", "&g=_user&n=1&b=none", "&g=status&c=1"]
            {
                let explore = get(&app, &format!("/tagging/explore?{DAYS}{more}"), key).await;
                let total = explore.html.split("<tr class=\"total\">").nth(1);
                let total = total.unwrap_or_else(|| panic!("{more}: {}", text(&explore.html)));
                let total = text(total.split("</tr>").next().unwrap());
                assert!(total.contains(&cost) && total.contains(&requests.to_string()), "{more}: {total}");
                let csv = get(&app, &format!("/tagging/explore.csv?{DAYS}{more}"), key).await.html;
                let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
                let number = |text: &str| (text.parse::<f64>().unwrap_or(0.0) * 1e9).round();
                let last = lines.last().unwrap();
                let (shown, all) = match more {
                    // The last line has the total of what the lines before it have.
                    "&g=_user&n=1&b=none" => {
                        let parts = lines[1..lines.len() - 1].iter().map(|line| number(line[1])).sum::<f64>();
                        (parts, number(last[1]))
                    }
                    // Each line includes those before it.
                    "&g=status&c=1" => {
                        (last[1..last.len() - 1].iter().map(|cell| number(cell)).sum(), number(last[last.len() - 1]))
                    }
                    _ => {
                        let total = lines[1..].iter().map(|line| number(line[line.len() - 1])).sum::<f64>();
                        let parts =
                            lines[1..].iter().flat_map(|line| &line[1..line.len() - 1]).map(|cell| number(cell));
                        (if more == "&g=none" { total } else { parts.sum() }, total)
                    }
                };
                assert_eq!((shown, all), (nanos, nanos), "{more}: {csv}");
            }
        }
        let showback = get(&app, "/tagging/showback/tenant_id/acme?r=2026-06-01..2026-06-30", ADMIN).await;
        let own = api::post(&rest, "/query", &secret("acme"), query.clone()).await.ok();
        assert_eq!(showback.texts("value")[0], dollars(own["total"][0].as_f64().unwrap() * 1e9));
    }
}

/// A key of a workspace sees nothing of another one: no rows, names, or counts.
#[tokio::test]
async fn a_tenant_sees_only_itself() {
    for app in apps() {
        for (key, other) in [("acme", "globex"), ("globex", "acme")] {
            let mut found = crawl(&app, &format!("/tagging?{DAYS}"), &secret(key), 150).await;
            let list = get(&app, &format!("/tagging/requests?{DAYS}"), &secret(key)).await;
            let request = list.attributes("href").into_iter().find(|link| link.starts_with("requests/")).unwrap();
            found.extend(crawl(&app, &format!("/tagging/{request}"), &secret(key), 60).await);
            for (path, page) in &found {
                assert!(!page.html.to_lowercase().contains(other), "{path}: {}", page.html);
            }
            assert!(found.keys().any(|path| path.contains("/requests/")));
        }
        let mine = get(&app, &format!("/tagging/requests?{DAYS}"), &secret("acme")).await;
        let link = mine.attributes("href").into_iter().find(|link| link.starts_with("requests/")).unwrap();
        let page = get(&app, &format!("/tagging/{link}"), &secret("globex")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        let trace = get(&app, "/tagging/traces/trace-1", &secret("globex")).await;
        assert!(trace.html.contains("No requests"), "{}", trace.html);
    }
}

/// The names of keys that only others use are theirs, and so are the counts of all events.
#[tokio::test]
async fn a_tenant_sees_no_key_that_only_others_use() {
    let mut events = api::samples();
    let tags = tags! { "secret_project" => "merger" };
    events.push(Arc::new(Event::builder().time(api::hour(3)).workspace("globex").tags(Scope::Request, tags).build()));
    for analytics in api::stores(&events) {
        analytics.activate_key("secret_project").await.unwrap();
        let sink = tower_tagging::sink::MockSink::new();
        let delivery = tower_tagging::EventLayer::new(sink).delivery();
        let pages = Dashboard::new(analytics, access()).delivery(delivery).into_router();
        let app = Router::new().nest("/tagging", pages);
        for (path, page) in crawl(&app, &format!("/tagging?{DAYS}"), &secret("acme"), 100).await {
            assert!(!page.html.contains("secret_project") && !page.html.contains("Events lost"), "{path}");
        }
        let own = get(&app, &format!("/tagging?{DAYS}"), &secret("globex")).await;
        assert!(own.html.contains("secret_project") && !own.html.contains("Events lost"));
        assert!(get(&app, &format!("/tagging?{DAYS}"), ADMIN).await.html.contains("Events lost"));
    }
}

/// Each page needs its permission.
#[tokio::test]
async fn pages_need_permissions() {
    let app = dashboard(api::memory(&api::samples()));
    let pages = BTreeMap::from([
        (
            "analytics.view",
            vec![
                "",
                "/explore",
                "/explore.csv",
                "/by/_user",
                "/compare",
                "/keys",
                "/health",
                "/sessions",
                "/budgets",
                "/showback/_user/ada",
            ],
        ),
        ("logs.view", vec!["/requests", "/requests/0", "/traces/0", "/sessions/a/b"]),
        ("keys.list", vec!["/access"]),
    ]);
    let keys =
        [("acme-view", "analytics.view"), ("acme-logs", "logs.view"), ("acme-list", "keys.list"), ("acme-write", "")];
    for (key, own) in keys {
        for (permission, paths) in &pages {
            for path in paths {
                let status = get(&app, &format!("/tagging{path}"), &secret(key)).await.status;
                assert_eq!(status == StatusCode::FORBIDDEN, own != *permission, "{key} {path} {status}");
            }
        }
    }
    for key in ["", "unknown", &secret("disabled"), &secret("expired")] {
        assert_eq!(get(&app, "/tagging", key).await.status, StatusCode::UNAUTHORIZED, "{key}");
    }
    assert_eq!(get(&app, "/tagging", &secret("acme-none")).await.status, StatusCode::FORBIDDEN);
}

fn hostile() -> Vec<String> {
    let long = "x".repeat(10_000);
    let texts = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "=HYPERLINK(\"http://x\")",
        "@SUM(A1)",
        "\u{202e}right to left",
        "a&amp;b&lt;",
        "{{ frame.title }}",
        "../..",
        ".",
        "%2e%2e",
        "a/b?c#d&e=f",
        "new\nline\ttab",
        "\u{0}nul",
        "javascript:alert(1)",
        "ünï¢ødé 🦀",
        &long,
    ];
    texts.into_iter().map(str::to_owned).collect()
}

/// Tags are text: in pages, attributes, links, charts, and CSV.
#[tokio::test]
async fn hostile_values_are_text() {
    let events: Vec<Arc<Event>> = hostile()
        .into_iter()
        .enumerate()
        .map(|(at, value)| {
            let call = LlmCall::builder()
                .provider("openai")
                .operation(Operation::Chat)
                .request_model(value.clone())
                .response_model(value.clone());
            let call =
                call.usage(Usage::tokens(10, 5)).cost(Cost::custom(Money::from_nano_usd(1_000_000 * (at as u64 + 1))));
            let tags = tags! { "_user" => value.clone(), "team" => value.clone(), "session_id" => value.clone() };
            let mut tags = tags;
            tags.insert(value.chars().take(100).collect::<String>(), "value");
            Arc::new(
                Event::builder()
                    .time(api::hour(at as u64))
                    .path("/x")
                    .tags(Scope::Request, tags)
                    .llm(call.build())
                    .build(),
            )
        })
        .collect();
    for analytics in api::stores(&events) {
        let app = dashboard(analytics);
        let mut found = crawl(&app, &format!("/tagging?{DAYS}"), ADMIN, 150).await;
        found.extend(crawl(&app, &format!("/tagging/requests?{DAYS}"), ADMIN, 100).await);
        for (path, page) in &found {
            if path.contains("/assets/") {
                continue;
            }
            if path.contains("explore.csv") {
                for cell in page.html.split([',', '\n']) {
                    assert!(!cell.trim_start_matches('"').starts_with(['=', '@']), "{path}: {cell}");
                }
                continue;
            }
            for broken in ["<script>", "<img", "<script>alert", " onerror=alert(1)>", "onmouseover='"] {
                assert!(!page.html.contains(broken), "{path}: {broken}");
            }
            for link in page.attributes("href") {
                assert!(!link.starts_with("javascript:") && !link.starts_with("//"), "{path}: {link}");
            }
        }
        let users = get(&app, &format!("/tagging/by/_user?{DAYS}"), ADMIN).await;
        let names: Vec<String> =
            users.html.split("<bdi>").skip(1).map(|part| text(part.split("</bdi>").next().unwrap())).collect();
        assert!(names.contains(&"<script>alert(1)</script>".to_owned()), "{names:?}");
    }
}

/// Equal views have equal URLs, and errors name what is wrong.
#[tokio::test]
async fn urls_have_one_form() {
    let app = dashboard(api::memory(&api::samples()));
    for (asked, canonical) in [
        ("/tagging?r=30d", "tagging"),
        ("/tagging?tz=UTC&r=7d&f=", "tagging?r=7d"),
        ("/tagging?f=team:is:b&f=feature:is:a&f=team:is:b", "tagging?f=feature:is:a&f=team:is:b"),
        ("/tagging/explore?g=model&m=cost&n=8&b=auto", "explore"),
        (
            "/tagging/explore?r=7d&k=team&op=is-not&v=search+engine&f=status:is:5xx",
            "explore?r=7d&f=status:is:5xx&f=team:is-not:search+engine",
        ),
        ("/tagging/requests?from=2026-06-01&to=2026-06-02", "requests?r=2026-06-01..2026-06-02"),
        ("/tagging/requests?k=model&op=has-not", "requests?f=model:has-not"),
    ] {
        let page = get(&app, asked, ADMIN).await;
        let canonical = format!("./{canonical}");
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, canonical.as_str()), "{asked}");
    }
    for (asked, reason) in [
        ("/tagging?r=5y", "invalid range"),
        ("/tagging?tz=Mars/Olympus", "unknown time zone"),
        ("/tagging?f=team", "invalid filter"),
        ("/tagging?f=team:like:x", "unknown operator"),
        ("/tagging?x=1", "unknown parameter"),
        ("/tagging?r=2026-06-02..2026-06-01", "is not after"),
        ("/tagging?r=9999-01-01..9999-12-31", ""),
        ("/tagging/explore?m=nothing", "unknown measure"),
        ("/tagging/explore?n=0", "invalid limit"),
        ("/tagging/explore?b=year", "unknown bucket"),
        ("/tagging/explore?p=1", "unknown parameter"),
        ("/tagging/requests?p=nothing", "cursor"),
    ] {
        let page = get(&app, asked, ADMIN).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{asked}");
        assert!(text(&page.html).contains(reason), "{asked}: {}", text(&page.html));
    }
    assert_eq!(get(&app, "/tagging/nothing", ADMIN).await.status, StatusCode::NOT_FOUND);
}

/// Only administrators change keys, and only from a page of the same origin.
#[tokio::test]
async fn keys_are_changed_by_administrators() {
    let app = dashboard(api::memory(&api::samples()));
    let same = ("sec-fetch-site", "same-origin");
    let acme = secret("acme-admin");
    for (key, headers) in [
        (ADMIN, vec![]),
        (ADMIN, vec![("sec-fetch-site", "cross-site")]),
        (ADMIN, vec![("origin", "https://other.example"), ("host", "example.com")]),
        (&acme, vec![same]),
    ] {
        let headers = [headers, vec![("x-portkey-api-key", key)]].concat();
        let page = post(&app, "/tagging/keys/deactivate", &headers, "key=team").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let headers = [same, ("x-portkey-api-key", ADMIN)];
    for (action, active) in [("deactivate", false), ("activate", true)] {
        let page = post(&app, &format!("/tagging/keys/{action}"), &headers, "key=feature").await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "../keys"));
        // The activation goes on in the background.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let keys = get(&app, "/tagging/keys", ADMIN).await;
        let label = if active { "Deactivate feature" } else { "Activate feature" };
        assert!(keys.attributes("aria-label").contains(&label.to_owned()), "{action}");
    }
}

/// A store without requests shows what to do next, and a range without requests shows where there are some.
#[tokio::test]
async fn empty_pages_teach() {
    let app = dashboard(api::memory(&[]));
    let page = get(&app, "/tagging", ADMIN).await;
    assert!(page.html.contains("TaggingLayer::builder()"), "{}", page.html);
    let app = dashboard(api::memory(&api::samples()));
    let page = get(&app, "/tagging?r=2026-05-01..2026-05-02", ADMIN).await;
    assert!(page.html.contains("No requests in this range"));
    let link = page.attributes("href").into_iter().find(|link| link.starts_with("?r=2026-06-0")).unwrap();
    assert!(!get(&app, &format!("/tagging{link}"), ADMIN).await.html.contains("No requests in this range"));
}

/// The columns of a table add up to the total, because a row has the requests of no other row.
#[tokio::test]
async fn the_rows_of_access_add_up_to_all_requests() {
    let registered =
        |name: &'static str, hour: u64| api::Sample { workspace: name, hour, ..api::Sample::default() }.event();
    let keyless = Event::builder().time(api::hour(3)).path("/x").build();
    // The keys of the samples are not in the registry, whose keys have the names of workspaces.
    let own = Event::builder().time(api::hour(2)).path("/x").workspace("acme").api_key("acme").build();
    let events = vec![registered("acme", 1), registered("globex", 5), Arc::new(keyless), Arc::new(own)];
    for app in api::stores(&events).into_iter().map(dashboard) {
        for (key, total, sections) in [(ADMIN.to_owned(), 4, 3), (secret("acme"), 2, 2)] {
            let page = get(&app, &format!("/tagging/access?{DAYS}"), &key).await;
            let mut checked = 0;
            for table in page.html.split("<table>").skip(1) {
                let body = table.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
                let rows: Vec<Vec<String>> = body
                    .split("</tr>")
                    .filter(|row| row.contains("<th"))
                    .map(|row| row.replace("</th>", "</td>").split("</td>").map(text).collect())
                    .collect();
                // The cells before the cost and the last use.
                let requests = |row: &Vec<String>| row[row.len() - 4].parse::<u64>().unwrap();
                assert_eq!(rows.iter().map(requests).sum::<u64>(), total, "{rows:?}");
                let others = rows.iter().filter(|row| row[0] == "Other requests").count();
                checked += others;
            }
            assert_eq!(checked, sections, "{}", page.html);
        }
    }
}

/// Only one value of a parameter has an effect, so a second one is refused.
#[tokio::test]
async fn parameters_that_are_repeated_are_refused() {
    let app = dashboard(api::memory(&api::samples()));
    for (path, name) in [
        ("?r=7d&r=24h", "r"),
        ("?r=7d&r=7d", "r"),
        ("/explore?m=cost&m=requests", "m"),
        ("/requests?tz=UTC&tz=Europe/Berlin", "tz"),
    ] {
        let page = get(&app, &format!("/tagging{path}"), ADMIN).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(text(&page.html).contains(&format!("the parameter \"{name}\" is repeated")), "{path}: {}", page.html);
    }
    let path = format!("/tagging/requests?{DAYS}&f=model:is:gpt-4o&f=status:is:200");
    assert_eq!(get(&app, &path, ADMIN).await.status, StatusCode::OK);
}
