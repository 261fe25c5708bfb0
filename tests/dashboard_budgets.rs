//! The page of budgets and rates.
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
    analytics::{Analytics, api::RegistryAccess},
    dashboard::Dashboard,
    event::Outcome,
    limit::{Amount, LimitDecision, LimitMode, LimitRule, LimitRuleBuilder, Limiter, Window},
    tags,
};

use api::{ADMIN, secret};
use pages::{Page, crawl, get, text};

fn decided(rule: LimitRuleBuilder) -> LimitRule {
    rule.on_unpriced(LimitDecision::Allow).on_store_error(LimitDecision::Deny).build().unwrap()
}

fn month() -> Window {
    Window::month("UTC").unwrap()
}

async fn limiter() -> Limiter {
    let team = LimitRule::budget("team", "200 USD".parse().unwrap(), month()).title("Teams <b>");
    let shared = LimitRule::budget("shared", Amount::tokens(1_000), month()).mode(LimitMode::Shadow);
    let rules = [
        decided(team.group_by("workspace").group_by("metadata.team")),
        decided(shared),
        decided(LimitRule::rate("throttle", Amount::requests(60), Duration::from_secs(60))),
        decided(LimitRule::concurrency("running", 8).group_by("workspace")),
    ];
    let limiter = Limiter::builder().rules(rules).build().unwrap();
    for (workspace, team, amount) in
        [("acme", Some("growth"), "50 USD"), ("acme", None, "1 USD"), ("globex", Some("secret-team"), "250 USD")]
    {
        let reserved: Amount = "10 USD".parse().unwrap();
        limiter.fill("team", &[Some(workspace), team], &amount.parse().unwrap(), Some(&reserved)).await.unwrap();
    }
    limiter
}

fn dashboard(analytics: Analytics, limiter: Option<Limiter>) -> Router {
    let pages = Dashboard::new(analytics, RegistryAccess::new(api::registry()).admin_key(ADMIN));
    let pages = match limiter {
        Some(limiter) => pages.limits(limiter),
        None => pages,
    };
    Router::new().nest("/tagging", pages.into_router())
}

/// Returns requests that the rules rejected.
fn rejected() -> Vec<Arc<Event>> {
    vec![
        rejection("team", "growth"),
        rejection("team", "growth"),
        rejection("team", "other"),
        rejection("throttle", "growth"),
    ]
}

fn rejection(rule: &str, team: &str) -> Arc<Event> {
    let event = Event::builder()
        .time(SystemTime::now() - Duration::from_secs(5))
        .method(http::Method::POST)
        .path("/v1/chat/completions")
        .workspace("acme")
        .status(StatusCode::TOO_MANY_REQUESTS)
        .outcome(Outcome::Rejected)
        .limit_rule(rule)
        .tags(Scope::Request, tags! { "team" => team });
    Arc::new(event.build())
}

/// Returns the cells of the rows of a table as texts.
fn rows(page: &Page, id: &str) -> Vec<Vec<String>> {
    let section = page.html.split_once(&format!("aria-labelledby=\"{id}\"")).map_or("", |(_, rest)| rest);
    let table = section.split("</section>").next().unwrap();
    let cells = |row: &str| {
        let cells = row.split("<t").skip(1).map(|cell| text(&format!("<t{cell}")).trim().to_owned());
        cells.collect::<Vec<_>>()
    };
    table.split("<tr>").skip(2).map(|row| cells(row.split("</tr>").next().unwrap())).collect()
}

#[tokio::test]
async fn shows_what_each_group_has_used() {
    for analytics in api::stores(&rejected()) {
        let app = dashboard(analytics, Some(limiter().await));
        let page = get(&app, "/tagging/budgets", ADMIN).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.html);
        let found = rows(&page, "budgets");
        assert_eq!(found.len(), 4, "{found:?}");
        // Limit, group, used, bar, amount, settled, reserved, remaining, projection, rejected, end, mode, source.
        let cells = |row: &[String], at: &[usize]| at.iter().map(|at| row[*at].clone()).collect::<Vec<_>>();
        let shown = [0, 1, 2, 4, 5, 6, 7, 9, 11, 12];
        assert_eq!(
            cells(&found[0], &shown),
            [
                "Teams <b>",
                "workspace globex, team secret-team",
                "130 %",
                "$200.00",
                "$250.00",
                "$10.00",
                "$0.00",
                "0",
                "enforced",
                "config"
            ]
        );
        assert_eq!(
            cells(&found[1], &shown),
            [
                "Teams <b>",
                "workspace acme, team growth",
                "30 %",
                "$200.00",
                "$50.00",
                "$10.00",
                "$140.00",
                "2",
                "enforced",
                "config"
            ]
        );
        assert_eq!(cells(&found[2], &[1, 9]), ["workspace acme, team not set", "0"]);
        assert_eq!(
            cells(&found[3], &shown),
            [
                "shared",
                "all requests",
                "0 %",
                "1,000 tokens",
                "0 tokens",
                "0 tokens",
                "1,000 tokens",
                "0",
                "shadow",
                "config"
            ]
        );
        let rates = rows(&page, "rates");
        assert_eq!(rates[0], ["throttle", "60 requests per minute", "all requests", "1", "enforced", "config"]);
        assert_eq!(rates[1], ["running", "8 at the same time", "workspace", "0", "enforced", "config"]);
        assert!(!page.html.contains("Teams <b>") && !page.html.contains("style="), "{}", page.html);

        // The links lead to the requests of the group, and to those that were rejected.
        let links: Vec<String> =
            page.attributes("href").into_iter().filter(|link| link.starts_with("./requests?")).collect();
        let growth = links.iter().find(|link| link.contains("team:is:growth") && link.contains("limit_rule")).unwrap();
        let list = get(&app, &format!("/tagging/{}", growth.trim_start_matches("./")), ADMIN).await;
        assert_eq!((list.status, list.html.matches("<time datetime").count()), (StatusCode::OK, 2), "{}", list.html);
        crawl(&app, "/tagging/budgets", ADMIN, 60).await;
    }
}

#[tokio::test]
async fn rejections_that_an_answer_leaves_out_are_unknown() {
    // An answer has up to 200 groups, those with the most requests first.
    let mut events: Vec<_> = (0..201).map(|team| rejection("team", &format!("team {team}"))).collect();
    events.push(rejection("team", "growth"));
    events.push(rejection("team", "growth"));
    let app = dashboard(api::memory(&events), Some(limiter().await));
    let page = get(&app, "/tagging/budgets?rule=team", ADMIN).await;
    let found: Vec<(String, String)> =
        rows(&page, "budgets").into_iter().map(|row| (row[1].clone(), row[9].clone())).collect();
    let expected = [
        ("workspace globex, team secret-team", "–"),
        ("workspace acme, team growth", "2"),
        ("workspace acme, team not set", "–"),
    ];
    assert_eq!(found, expected.map(|(group, rejected)| (group.to_owned(), rejected.to_owned())));
}

#[tokio::test]
async fn a_tenant_sees_its_own_groups_only() {
    for analytics in api::stores(&rejected()) {
        let app = dashboard(analytics, Some(limiter().await));
        for path in ["/tagging/budgets", "/tagging/budgets.csv", "/tagging/budgets?rule=team"] {
            let page = get(&app, path, &secret("acme-view")).await;
            assert_eq!(page.status, StatusCode::OK);
            assert!(page.html.contains("growth"), "{path}: {}", page.html);
            for other in ["globex", "secret-team", "shared", "throttle"] {
                assert!(!page.html.contains(other), "{path} {other}: {}", page.html);
            }
        }
        // A limit of others looks like one that does not exist.
        for rule in ["shared", "unknown"] {
            let page = get(&app, &format!("/tagging/budgets?rule={rule}"), &secret("acme-view")).await;
            assert_eq!(page.status, StatusCode::OK);
            assert!(page.html.contains("Nothing is counted") && page.html.contains("0 groups of budgets"));
        }
    }
}

#[tokio::test]
async fn has_pages_a_filter_and_a_file() {
    let limiter = limiter().await;
    for number in 0..120 {
        let workspace = format!("w{number:03}");
        let amount = Amount::cost(tower_tagging::usage::Money::from_nano_usd(1_000_000 * number));
        limiter.fill("team", &[Some(&workspace), Some("x")], &amount, None).await.unwrap();
    }
    let app = dashboard(api::memory(&[]), Some(limiter));
    let first = get(&app, "/tagging/budgets", ADMIN).await;
    assert_eq!(rows(&first, "budgets").len(), 50);
    assert!(first.html.contains("124 groups of budgets"), "{}", first.html);
    let last = get(&app, "/tagging/budgets?p=3", ADMIN).await;
    assert_eq!(rows(&last, "budgets").len(), 24);
    assert!(last.html.contains("Previous") && !last.html.contains("Next →"));
    let one = get(&app, "/tagging/budgets?rule=shared", ADMIN).await;
    assert_eq!(rows(&one, "budgets").len(), 1);
    assert!(one.html.contains("<option value=\"shared\" selected>"), "{}", one.html);
    let file = get(&app, "/tagging/budgets.csv?rule=team", ADMIN).await;
    assert!(file.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    let lines: Vec<&str> = file.html.lines().collect();
    assert_eq!(lines.len(), 124);
    assert!(
        lines[1].starts_with("team,Teams <b>,\"workspace globex, team secret-team\",USD,200,250,10,0,130.00,"),
        "{}",
        lines[1]
    );
    // Defaults are not part of an address.
    let redirect = get(&app, "/tagging/budgets?p=1&rule=", ADMIN).await;
    assert_eq!((redirect.status, redirect.location()), (StatusCode::SEE_OTHER, "./budgets"));
    for query in ["p=0", "p=x", "p=99999999999999999999999", "rules=x"] {
        assert_eq!(
            get(&app, &format!("/tagging/budgets?{query}"), ADMIN).await.status,
            StatusCode::BAD_REQUEST,
            "{query}"
        );
    }
}

#[tokio::test]
async fn explains_how_to_add_limits() {
    let page = get(&dashboard(api::memory(&[]), None), "/tagging/budgets", ADMIN).await;
    assert!(page.html.contains("Dashboard::limits"), "{}", page.html);
    let empty = Limiter::builder().build().unwrap();
    let page = get(&dashboard(api::memory(&[]), Some(empty)), "/tagging/budgets", ADMIN).await;
    assert!(page.html.contains("No limits") && page.html.contains("[[limits]]"), "{}", page.html);
}
