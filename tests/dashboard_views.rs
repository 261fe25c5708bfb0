//! Saved views of the dashboard: who sees and changes them, on each store.
#![cfg(feature = "dashboard")]

#[path = "common/api.rs"]
mod api;
#[path = "common/pages.rs"]
mod pages;

use axum::Router;
use http::StatusCode;
use tower_tagging::{
    analytics::{Analytics, Dimension, Filter, Grant, QueryError, SavedView, api::RegistryAccess},
    dashboard::{Dashboard, SignIn},
    registry::Permission,
    store::Field,
};

use api::{ADMIN, secret};
use pages::{Page, crawl, get, post, resolved, text};

const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");

fn dashboard(analytics: Analytics) -> Router {
    let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
    Router::new().nest("/tagging", Dashboard::new(analytics, access).into_router())
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") },
            )
            .collect()
    };
    pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

async fn send(app: &Router, action: &str, key: &str, pairs: &[(&str, &str)]) -> Page {
    let headers = [SAME_ORIGIN, ("host", "example.com"), ("x-portkey-api-key", key)];
    post(app, &format!("/tagging/views/{action}"), &headers, &encoded(pairs)).await
}

/// Saves a page, and returns the address that it leads to.
async fn save(app: &Router, key: &str, name: &str, page: &str, query: &str, is_shared: bool) -> String {
    let mut pairs = vec![("name", name), ("page", page), ("query", query)];
    if is_shared {
        pairs.push(("shared", "1"));
    }
    let page = send(app, "save", key, &pairs).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", text(&page.html));
    resolved("/tagging/views/save", page.location())
}

/// Returns the names of the views that a caller sees, and those in the menu of a page.
async fn names(app: &Router, key: &str) -> Vec<String> {
    let list = get(app, "/tagging/views", key).await;
    assert_eq!(list.status, StatusCode::OK);
    let rows = list.html.split("<tr><th scope=\"row\">").skip(1);
    let mut names: Vec<String> = rows.map(|row| text(row.split("</th>").next().unwrap())).collect();
    names.sort();
    let other = get(app, "/tagging/explore", key).await;
    let mut menu: Vec<String> = match other.html.split("<details class=\"menu\">").nth(1) {
        Some(menu) => menu
            .split("</details>")
            .next()
            .unwrap()
            .split("<bdi>")
            .skip(1)
            .map(|part| text(part.split("</bdi>").next().unwrap()))
            .collect(),
        None => Vec::new(),
    };
    menu.sort();
    assert_eq!(names, menu);
    names
}

/// Returns the id of a view on the page of its owner.
async fn id(app: &Router, key: &str, name: &str) -> String {
    let list = get(app, "/tagging/views", key).await;
    let row = list.html.split("<tr>").skip(1).find(|row| text(row).contains(name)).unwrap_or_else(|| panic!("{name}"));
    row.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_saved_view_leads_to_its_page() {
    for analytics in api::stores(&api::samples()) {
        let app = dashboard(analytics);
        let form = get(&app, "/tagging/explore?r=2026-06-01..2026-06-03&f=model:is:gpt-4o&g=_user", ADMIN).await;
        assert!(form.html.contains("action=\"./views/save\""), "{}", form.html);
        let hidden = form.attributes("value");
        assert!(hidden.contains(&"r=2026-06-01..2026-06-03&f=model:is:gpt-4o&g=_user".to_owned()), "{hidden:?}");
        for (name, page, query, target) in [
            ("Users of GPT", "explore", "r=2026-06-01..2026-06-03&f=model:is:gpt-4o&g=_user", None),
            ("Overview", "", "r=7d", None),
            ("All", "", "", Some("/tagging")),
            ("A session", "sessions/session_id/chat%2F7", "", None),
            // Written in another order, with defaults, inputs of the form, and a place in a list.
            (
                "Errors",
                "requests",
                "p=abc&k=status&op=is&v=5xx&r=30d&tz=UTC&f=_user:has",
                Some("/tagging/requests?f=_user:has&f=status:is:5xx"),
            ),
        ] {
            let found = save(&app, ADMIN, name, page, query, false).await;
            let plain = if query.is_empty() { format!("/tagging/{page}") } else { format!("/tagging/{page}?{query}") };
            let plain = plain.replace("/tagging/?", "/tagging?");
            assert_eq!(found, target.map_or(plain, ToOwned::to_owned), "{name}");
            // Its own page does not redirect, so it is in the canonical form.
            assert_eq!(get(&app, &found, ADMIN).await.status, StatusCode::OK, "{found}");
        }
        assert_eq!(names(&app, ADMIN).await, ["A session", "All", "Errors", "Overview", "Users of GPT"]);
        let found = crawl(&app, "/tagging/views", ADMIN, 60).await;
        assert!(found.contains_key("/tagging/requests?f=_user:has&f=status:is:5xx"), "{:?}", found.keys());
    }
}

/// The same links work where the dashboard is mounted elsewhere.
#[tokio::test]
async fn views_work_below_any_prefix() {
    for prefix in ["/a/b", "/a/b/"] {
        let access = RegistryAccess::new(api::registry()).admin_key(ADMIN);
        let analytics = api::memory(&api::samples()).authored_by("administrator");
        analytics.save_view("mine", "by/_user", "r=7d", false, &Grant::everything()).await.unwrap();
        let app = Router::new().nest(prefix, Dashboard::new(analytics, access).into_router());
        let found = crawl(&app, prefix, ADMIN, 80).await;
        assert!(found.contains_key("/a/b/by/_user?r=7d"), "{:?}", found.keys());
    }
}

/// A private view is its owner's. A shared one is for callers who see the same requests.
#[tokio::test]
async fn views_are_seen_by_whom_they_are_for() {
    for analytics in api::stores(&api::samples()) {
        let app = dashboard(analytics);
        let (acme, view, globex) = (secret("acme"), secret("acme-view"), secret("globex"));
        save(&app, &acme, "acme private", "", "f=_user:is:ada", false).await;
        save(&app, &acme, "acme shared", "", "f=_user:is:bob", true).await;
        save(&app, &globex, "globex shared", "", "f=_user:is:carol", true).await;
        save(&app, ADMIN, "operator private", "", "", false).await;
        save(&app, ADMIN, "operator shared", "", "f=tenant_id:is:acme", true).await;
        assert_eq!(names(&app, &acme).await, ["acme private", "acme shared"]);
        assert_eq!(names(&app, &view).await, ["acme shared"]);
        assert_eq!(names(&app, &globex).await, ["globex shared"]);
        assert_eq!(names(&app, &secret("acme-admin")).await, ["acme shared"]);
        assert_eq!(names(&app, &secret("org-admin")).await, ["acme shared", "globex shared", "operator shared"]);
        let own = ["acme shared", "globex shared", "operator private", "operator shared"];
        assert_eq!(names(&app, ADMIN).await, own);

        // Only the owner and administrators of all requests change it, and nobody learns of other views.
        let (private, shared) = (id(&app, &acme, "acme private").await, id(&app, &acme, "acme shared").await);
        let missing = "0190a000-0000-7000-8000-000000000000";
        for key in [&view, &globex, &secret("acme-admin")] {
            let mut answers = Vec::new();
            for id in [&private, &shared, missing] {
                for (action, name) in [("rename", "stolen"), ("share", ""), ("unshare", ""), ("delete", "")] {
                    let page = send(&app, action, key, &[("id", id), ("name", name)]).await;
                    assert_eq!(page.status, StatusCode::FORBIDDEN, "{action}");
                    answers.push(page.html);
                }
            }
            answers.dedup();
            assert_eq!(answers.len(), 1);
        }
        assert_eq!(send(&app, "delete", ADMIN, &[("id", &private)]).await.status, StatusCode::FORBIDDEN);
        assert_eq!(names(&app, &acme).await, ["acme private", "acme shared"]);

        let page = send(&app, "rename", &acme, &[("id", &private), ("name", "mine")]).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "../views"));
        assert_eq!(send(&app, "share", &acme, &[("id", &private)]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(names(&app, &view).await, ["acme shared", "mine"]);
        assert_eq!(send(&app, "unshare", &acme, &[("id", &private)]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(names(&app, &view).await, ["acme shared"]);
        // An administrator may end the sharing, and the view stays its owner's.
        assert_eq!(send(&app, "unshare", ADMIN, &[("id", &shared)]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(names(&app, &view).await, [""; 0]);
        assert_eq!(names(&app, &acme).await, ["acme shared", "mine"]);
        assert_eq!(send(&app, "delete", &acme, &[("id", &shared)]).await.status, StatusCode::SEE_OTHER);
        assert_eq!(names(&app, &acme).await, ["mine"]);
    }
}

/// Forms of other sites, of strangers, and with a `GET` request change nothing.
#[tokio::test]
async fn only_forms_of_the_dashboard_change_views() {
    let app = dashboard(api::memory(&api::samples()));
    let form = "name=a&page=&query=";
    for headers in [
        vec![("x-portkey-api-key", ADMIN)],
        vec![("x-portkey-api-key", ADMIN), ("sec-fetch-site", "cross-site")],
        vec![("x-portkey-api-key", ADMIN), ("origin", "https://evil.example"), ("host", "example.com")],
    ] {
        for action in ["save", "rename", "share", "unshare", "delete"] {
            let page = post(&app, &format!("/tagging/views/{action}"), &headers, form).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{action} {headers:?}");
            let page = get(&app, &format!("/tagging/views/{action}?{form}"), ADMIN).await;
            assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED, "{action}");
        }
    }
    let page = post(&app, "/tagging/views/save", &[SAME_ORIGIN], form).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    for key in ["acme-write", "acme-list", "acme-export"] {
        assert_eq!(send(&app, "save", &secret(key), &[("name", "a")]).await.status, StatusCode::FORBIDDEN, "{key}");
        assert_eq!(get(&app, "/tagging/views", &secret(key)).await.status, StatusCode::FORBIDDEN, "{key}");
    }
    // Single requests alone are pages as well.
    save(&app, &secret("acme-logs"), "log", "requests", "r=7d", false).await;
    assert_eq!(get(&app, "/tagging/views", &secret("acme-logs")).await.status, StatusCode::OK);
    assert_eq!(names(&app, ADMIN).await, [""; 0]);
}

#[tokio::test]
async fn errors_name_the_limit() {
    for analytics in api::stores(&[]) {
        let app = dashboard(analytics);
        let (long, address) = ("x".repeat(81), format!("f=_user:is:{}", "x".repeat(4_096)));
        for (pairs, problem) in [
            (vec![("page", "")], "no name"),
            (vec![("name", "  "), ("page", "")], "1 to 80"),
            (vec![("name", &long), ("page", "")], "1 to 80"),
            (vec![("name", "a\u{7}b"), ("page", "")], "1 to 80"),
            (vec![("name", "a"), ("page", "explore"), ("query", &address)], "4096 bytes"),
            (vec![("name", "a"), ("page", "explore"), ("query", "r=never")], "invalid range"),
            (vec![("name", "a"), ("page", "explore"), ("query", "x=1")], "unknown parameter"),
            (vec![("name", "a"), ("page", "requests"), ("query", "g=team")], "unknown parameter"),
            (vec![("name", "a"), ("page", "//evil.example")], "cannot be saved"),
            (vec![("name", "a"), ("page", "by/%2e%2e")], "cannot be saved"),
            (vec![("name", "a"), ("page", "sign-out")], "cannot be saved"),
        ] {
            let page = send(&app, "save", ADMIN, &pairs).await;
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{pairs:?}");
            assert!(text(&page.html).contains(problem), "{problem}: {}", text(&page.html));
        }
        let name = "ü".repeat(80);
        save(&app, ADMIN, &name, "", "", false).await;
        let page = send(&app, "save", ADMIN, &[("name", &name)]).await;
        assert!(page.status == StatusCode::BAD_REQUEST && text(&page.html).contains("already"), "{}", text(&page.html));
        save(&app, ADMIN, "other", "", "", false).await;
        let other = id(&app, ADMIN, "other").await;
        let page = send(&app, "rename", ADMIN, &[("id", &other), ("name", &name)]).await;
        assert!(page.status == StatusCode::BAD_REQUEST && text(&page.html).contains("already"));
        assert_eq!(send(&app, "rename", ADMIN, &[("id", "7"), ("name", "x")]).await.status, StatusCode::BAD_REQUEST);
        // Its own name is no conflict.
        assert_eq!(
            send(&app, "rename", ADMIN, &[("id", &other), ("name", "other")]).await.status,
            StatusCode::SEE_OTHER
        );
        for at in 2..100 {
            save(&app, ADMIN, &format!("view {at}"), "", "", false).await;
        }
        let page = send(&app, "save", ADMIN, &[("name", "one more")]).await;
        assert!(page.status == StatusCode::BAD_REQUEST && text(&page.html).contains("100 views"), "{}", page.html);
        // The room of others is theirs, and the same names are free to them.
        save(&app, &secret("acme"), "view 7", "", "", false).await;
    }
}

#[tokio::test]
async fn hostile_names_are_text() {
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "\u{202e}right to left",
        "{{ frame.title }}",
        "'; DROP TABLE tagging_views; --",
        "javascript:alert(1)",
        "🦀 ünï¢ødé",
    ];
    for analytics in api::stores(&api::samples()) {
        let app = dashboard(analytics);
        for name in hostile {
            save(&app, &secret("acme"), name, "requests", &encoded(&[("f", &format!("_user:is:{name}"))]), true).await;
        }
        for key in [secret("acme"), secret("acme-admin"), ADMIN.to_owned()] {
            for path in ["/tagging/views", "/tagging", "/tagging/health"] {
                let page = get(&app, path, &key).await;
                for broken in ["<script>", "<img", " onerror=alert(1)>", "onmouseover='"] {
                    assert!(!page.html.contains(broken), "{path}: {broken}");
                }
                for link in page.attributes("href") {
                    assert!(!link.starts_with("javascript:") && !link.starts_with("//"), "{link}");
                }
            }
            let mut expected: Vec<String> = hostile.iter().map(|name| (*name).to_owned()).collect();
            expected.sort();
            assert_eq!(names(&app, &key).await, expected);
        }
        for name in hostile {
            let id = id(&app, &secret("acme"), name).await;
            assert_eq!(send(&app, "delete", &secret("acme"), &[("id", &id)]).await.status, StatusCode::SEE_OTHER);
        }
        assert_eq!(names(&app, &secret("acme")).await, [""; 0]);
    }
}

/// Whoever signed in with a form has the same views as with the key itself.
#[tokio::test]
async fn the_cookie_has_the_views_of_its_key() {
    let sign_in = SignIn::new(RegistryAccess::new(api::registry()).admin_key(ADMIN), ADMIN).unwrap();
    let pages = Dashboard::with_sign_in(api::memory(&api::samples()), sign_in).into_router();
    let app = Router::new().nest("/tagging", pages);
    save(&app, &secret("acme"), "by key", "", "", false).await;
    let host = ("host", "example.com");
    let page = post(&app, "/tagging/sign-in", &[SAME_ORIGIN, host], &format!("key={}", secret("acme"))).await;
    let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let headers = [SAME_ORIGIN, host, ("cookie", cookie.as_str())];
    let saved = post(&app, "/tagging/views/save", &headers, "name=by+cookie").await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    assert_eq!(names(&app, &secret("acme")).await, ["by cookie", "by key"]);
    // Nobody changes views from elsewhere with the cookie.
    let headers = [("sec-fetch-site", "cross-site"), host, ("cookie", cookie.as_str())];
    assert_eq!(post(&app, "/tagging/views/save", &headers, "name=x").await.status, StatusCode::FORBIDDEN);
}

/// Hosts that do not name their callers have no views, and their pages do not offer to save one.
#[tokio::test]
async fn callers_without_a_name_cannot_save_views() {
    let access = |_: &http::request::Parts| Ok(Grant::everything());
    let app = Router::new().nest("/tagging", Dashboard::new(api::memory(&[]), access).into_router());
    let list = get(&app, "/tagging/views", "").await;
    assert!(list.html.contains("does not name its callers"), "{}", text(&list.html));
    assert!(!get(&app, "/tagging", "").await.html.contains("views/save"));
    assert_eq!(send(&app, "save", "", &[("name", "a")]).await.status, StatusCode::FORBIDDEN);
}

/// The restriction of the owner decides, not only its name or its workspace.
#[tokio::test]
async fn equal_names_of_other_tenants_share_nothing() {
    let tenant = |slug: &str| Grant::only([Filter::is(Dimension::tag("tenant_id"), slug)]);
    let acme = Grant::only([Filter::is(Field::Workspace, "acme")]);
    let narrow = Grant::only([Filter::is(Field::Workspace, "acme"), Filter::is(Dimension::tag("team"), "search")]);
    let reordered = Grant::only([Filter::is(Dimension::tag("team"), "search"), Filter::is(Field::Workspace, "acme")]);
    let viewer = Grant::everything().with_permissions([Permission::AnalyticsView].into_iter().collect());
    for analytics in api::stores(&[]) {
        let ada = analytics.authored_by("ada");
        for (name, grant, is_shared) in [
            ("one", &tenant("one"), false),
            ("one shared", &tenant("one"), true),
            ("two", &tenant("two"), false),
            ("acme", &acme, true),
            ("narrow", &narrow, true),
        ] {
            ada.save_view(name, "", "", is_shared, grant).await.unwrap();
        }
        let names = async |handle: &Analytics, grant: &Grant| -> Vec<String> {
            let views: Vec<SavedView> = handle.saved_views(grant).await.unwrap();
            views.into_iter().map(|view| view.name).collect()
        };
        assert_eq!(names(&ada, &tenant("one")).await, ["one", "one shared"]);
        assert_eq!(names(&ada, &tenant("two")).await, ["two"]);
        assert_eq!(names(&analytics, &tenant("one")).await, ["one shared"]);
        assert_eq!(names(&analytics.authored_by("bob"), &acme).await, ["acme"]);
        assert_eq!(names(&analytics.authored_by("bob"), &reordered).await, ["narrow"]);
        // Whoever sees all requests without being an administrator sees the views of the operator only.
        assert_eq!(names(&analytics, &viewer).await, [""; 0]);
        assert_eq!(names(&analytics, &Grant::everything()).await, ["acme", "narrow", "one shared"]);
        let one = ada.saved_views(&tenant("one")).await.unwrap()[0].clone();
        let stolen = ada.delete_view(one.id, &tenant("two")).await;
        assert!(matches!(stolen, Err(QueryError::Forbidden(_))), "{stolen:?}");
        let unnamed = analytics.save_view("x", "", "", true, &acme).await;
        assert!(matches!(unnamed, Err(QueryError::Forbidden(_))), "{unnamed:?}");
    }
}
