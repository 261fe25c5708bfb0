//! What pages say about their numbers: filters, ranges, prices, tables as CSV, and parts that are not shown.
#![cfg(feature = "dashboard")]

#[path = "common/api.rs"]
mod api;
#[path = "common/pages.rs"]
mod pages;

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use tower_tagging::{
    Event, Scope,
    analytics::{Analytics, api::RegistryAccess},
    dashboard::{Dashboard, SignIn},
    tags,
    usage::{Cost, CostStatus, LlmCall, Money, Operation, Usage},
};

use api::{ADMIN, Sample, secret};
use pages::{get, post, send, text};

const DAYS: &str = "r=2026-06-01..2026-06-03";

fn access() -> RegistryAccess {
    RegistryAccess::new(api::registry()).admin_key(ADMIN)
}

fn dashboard(analytics: Analytics) -> Router {
    Router::new().nest("/tagging", Dashboard::new(analytics, access()).into_router())
}

fn apps(events: &[Arc<Event>]) -> Vec<Router> {
    api::stores(events).into_iter().map(dashboard).collect()
}

/// Returns the rows of a table by the id of its heading.
fn rows(html: &str, id: &str) -> Vec<Vec<String>> {
    let table = html.split(&format!("<h2 id=\"{id}\">")).nth(1).unwrap_or_else(|| panic!("{id}: {html}"));
    let body = table.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    let cells =
        |row: &str| row.replace("</th>", "</td>").split("</td>").map(|cell| text(cell).trim().to_owned()).collect();
    body.split("</tr>").filter(|row| row.contains("<th")).map(cells).collect()
}

fn csv(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn pages_show_the_filters_that_change_their_numbers() {
    for app in apps(&api::samples()) {
        let path = format!("/tagging/access?{DAYS}&f=model:is:claude-sonnet-4-5");
        let page = get(&app, &path, ADMIN).await;
        let acme = rows(&page.html, "workspaces").into_iter().find(|row| row[0] == "acme").unwrap();
        assert_eq!(acme[2], "1", "{acme:?}");
        assert!(page.attributes("aria-label").contains(&"Remove the filter model is claude-sonnet-4-5".to_owned()));
        assert!(page.html.contains("class=\"trust\"") && page.html.contains("Jun 1"), "{}", page.html);

        let path = format!("/tagging/showback/tenant_id/acme?{DAYS}&f=model:is:gpt-4o");
        let page = get(&app, &path, ADMIN).await;
        let shown = text(page.html.split("<p class=\"conditions\">").nth(1).unwrap().split("</p>").next().unwrap());
        assert!(shown.starts_with("Only requests with\nmodel is gpt-4o"), "{shown}");
        let page = get(&app, &format!("/tagging/showback/tenant_id/acme?{DAYS}"), ADMIN).await;
        assert!(!page.html.contains("class=\"conditions\""));
    }
}

#[tokio::test]
async fn values_that_were_not_read_are_unknown() {
    let call = |at: u64, key: String| {
        let call = LlmCall::builder().provider("openai").operation(Operation::Chat).response_model("gpt-4o");
        let call = call.usage(Usage::tokens(1, 1)).cost(Cost::custom(Money::from_nano_usd(10_000_000 - at)));
        Arc::new(Event::builder().time(api::hour(1)).path("/x").api_key(key).llm(call.build()).build())
    };
    // The registered key is the last one in the order of the list.
    let mut events: Vec<_> = (0..1_050).map(|at| call(at, format!("a-{at}"))).collect();
    events.push(call(9_000_000, "acme".to_owned()));
    let app = dashboard(api::memory(&events));
    let page = get(&app, &format!("/tagging/access?{DAYS}"), ADMIN).await;
    let keys = rows(&page.html, "api-keys");
    let acme = keys.iter().find(|row| row[0] == "acme").unwrap();
    assert_eq!(acme[5..8], ["–", "–", "–"], "{acme:?}");
    assert!(page.html.contains("There are too many values"));
    let app = dashboard(api::memory(&api::samples()));
    let page = get(&app, &format!("/tagging/access?{DAYS}"), ADMIN).await;
    let keys = rows(&page.html, "api-keys");
    assert_eq!(keys.iter().find(|row| row[0] == "acme").unwrap()[5], "0");
    assert!(!page.html.contains("There are too many values"));
}

#[tokio::test]
async fn each_table_of_explore_is_a_csv_file() {
    for app in apps(&api::samples()) {
        let query = "r=2026-06-01..2026-06-04&tz=Europe/Berlin&g=_user&n=50";
        let page = get(&app, &format!("/tagging/explore?{query}"), ADMIN).await;
        assert_eq!(page.status, StatusCode::OK);
        let links: Vec<String> =
            page.attributes("href").into_iter().filter(|link| link.starts_with("explore.csv")).collect();
        assert_eq!(links.len(), 2, "{links:?}");
        let chart = csv(&get(&app, &format!("/tagging/{}", links[0]), ADMIN).await.html);
        let ranking = csv(&get(&app, &format!("/tagging/{}", links[1]), ADMIN).await.html);
        assert_eq!(chart[0][0], "Hour (Europe/Berlin)");
        assert_eq!(chart[1][0], "2026-06-01T00:00:00+02:00");
        let shown = rows(&page.html, "ranking-title");
        assert_eq!(ranking.len(), shown.len() + 1);
        for (line, row) in ranking[1..].iter().zip(&shown) {
            assert_eq!((&line[0], &line[2]), (&row[0], &row[4]), "{line:?} {row:?}");
        }
        let sum = |lines: &[Vec<String>]| lines.iter().filter_map(|line| line.last()?.parse::<f64>().ok()).sum::<f64>();
        let total: f64 = ranking.last().unwrap()[1].parse().unwrap();
        assert!((sum(&chart[1..]) - total).abs() < 1e-9, "{chart:?}");

        let days = format!("/tagging/explore.csv?{query}&b=day");
        let days = csv(&get(&app, &days, ADMIN).await.html);
        let starts: Vec<&str> = days.iter().map(|line| line[0].as_str()).collect();
        assert_eq!(starts, ["Day (Europe/Berlin)", "2026-06-01", "2026-06-02", "2026-06-03", "2026-06-04"]);
        let unknown = get(&app, &format!("/tagging/explore.csv?{query}&t=pie"), ADMIN).await;
        assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn requests_can_be_grouped_by_the_class_of_their_status() {
    for app in apps(&api::samples()) {
        let page = get(&app, &format!("/tagging/explore?{DAYS}&m=requests&g=status_class"), ADMIN).await;
        assert_eq!(page.status, StatusCode::OK, "{:?}", page.headers);
        let names: Vec<String> = rows(&page.html, "ranking-title").into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(names, ["2xx", "4xx", "5xx", "Total"]);
        assert!(page.attributes("href").iter().any(|link| link.contains("f=status:is:5xx")));
        let page =
            get(&app, &format!("/tagging/explore?{DAYS}&f=status:is:5xx&m=requests&g=status_class"), ADMIN).await;
        assert_eq!(rows(&page.html, "ranking-title")[0][4], "2");
    }
}

#[tokio::test]
async fn the_empty_value_of_a_tag_is_a_value() {
    let event = |hour: u64, team: &'static str| {
        let event = Event::builder().time(api::hour(hour)).path("/x");
        Arc::new(event.tags(Scope::Request, tags! { "team" => team, "session_id" => team }).build())
    };
    let events = [event(1, ""), event(2, ""), event(3, "search")];
    for app in apps(&events) {
        for path in ["/tagging/by/team", "/tagging/explore?g=team", "/tagging/sessions", "/tagging/requests"] {
            let path = format!("{path}{}{DAYS}", if path.contains('?') { '&' } else { '?' });
            let path = if path.contains("explore") { format!("/tagging/explore?{DAYS}&g=team") } else { path };
            let page = get(&app, &path, ADMIN).await;
            assert!(page.html.contains("(empty)"), "{path}: {}", page.html);
        }
        let page = get(&app, &format!("/tagging/requests?{DAYS}&f=team:is:"), ADMIN).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.html.contains("<h2 id=\"volume\">2 requests</h2>"), "{}", page.html);
        assert!(page.attributes("aria-label").contains(&"Remove the filter team is (empty)".to_owned()));
        let page = get(&app, &format!("/tagging/requests?{DAYS}&f=team:is-not:"), ADMIN).await;
        assert!(page.html.contains("<h2 id=\"volume\">1 requests</h2>"), "{}", page.html);
        let start = format!("/tagging/by/team?{DAYS}");
        assert!(pages::crawl(&app, &start, ADMIN, 80).await.keys().any(|path| path.contains("f=team:is:")));
    }
}

fn event_with(hour: u64, cost: Option<(u64, CostStatus)>) -> Arc<Event> {
    let mut event =
        Event::builder().time(api::hour(hour)).path("/x").tags(Scope::Request, tags! { "session_id" => "s" });
    if let Some((nanos, status)) = cost {
        let call = LlmCall::builder().provider("openai").operation(Operation::Chat).response_model("gpt-4o");
        let call = call.usage(Usage::tokens(10, 5));
        let call = if status == CostStatus::UnpricedModel {
            call
        } else {
            call.cost(Cost::custom(Money::from_nano_usd(nanos)))
        };
        event = event.llm(call.cost_status(status).build());
    }
    Arc::new(event.build())
}

#[tokio::test]
async fn pages_do_not_claim_that_calls_are_priced() {
    let priced = || Some((1_000_000_000, CostStatus::Priced));
    let partial = || Some((1_000_000_000, CostStatus::Partial));
    let mut many: Vec<_> = (0..2_000).map(|_| event_with(1, priced())).collect();
    many.push(event_with(1, Some((0, CostStatus::UnpricedModel))));
    for (events, words) in [
        (vec![event_with(1, None)], "No LLM calls"),
        (vec![event_with(1, priced())], "All LLM calls priced"),
        (vec![event_with(1, priced()), event_with(2, partial())], "1 LLM call partially priced"),
        (many, "Unpriced &#60; 0.1 % of LLM calls"),
    ] {
        for app in apps(&events) {
            let trust = |html: &str| {
                html.split("<div class=\"trust\"").nth(1).unwrap().split("</div>").next().unwrap().to_owned()
            };
            for path in ["", "/explore", "/requests", "/sessions", "/by/session_id", "/compare", "/keys", "/health"] {
                let page = get(&app, &format!("/tagging{path}?{DAYS}"), ADMIN).await;
                assert!(trust(&page.html).contains(words), "{path}: {}", trust(&page.html));
            }
            if words.contains("partially") {
                let page = get(&app, &format!("/tagging/sessions?{DAYS}"), ADMIN).await;
                assert_eq!(rows(&page.html, "sessions")[0][1], "≥ $2.00");
                let page = get(&app, &format!("/tagging/sessions/session_id/s?{DAYS}"), ADMIN).await;
                assert!(page.html.contains("1 LLM call partially priced"), "{}", page.html);
            }
        }
    }
}

#[tokio::test]
async fn traces_say_what_they_do_not_show() {
    let cent = |hour| event_with(hour, Some((10_000_000, CostStatus::Priced)));
    let events: Vec<_> = (0..620).map(|_| cent(1)).collect();
    let app = dashboard(api::memory(&events));
    let page = get(&app, &format!("/tagging/sessions/session_id/s?{DAYS}"), ADMIN).await;
    assert_eq!(page.texts("value")[0], "$6.20");
    assert!(page.html.contains("the first 100 of 620 steps") && page.html.contains("the first 500 of 620 steps"));
    let steps = rows(&page.html, "steps");
    assert_eq!(steps.len(), 501);
    let last = &steps[500];
    assert_eq!((last[1].as_str(), last[6].as_str(), last[7].as_str()), ("120 more steps", "$1.20", "$6.20"));
    let app = dashboard(api::memory(&events[..3]));
    let page = get(&app, &format!("/tagging/sessions/session_id/s?{DAYS}"), ADMIN).await;
    assert!(!page.html.contains("the first ") && !page.html.contains("more steps"));
}

#[tokio::test]
async fn empty_pages_lead_to_requests_that_match() {
    let sample = |workspace, user, hour| Sample { workspace, user: Some(user), hour, ..Sample::default() }.event();
    let events = [sample("acme", "ada", 1), sample("acme", "bob", 26), sample("globex", "carol", 50)];
    for app in apps(&events) {
        for (key, filter, day) in [
            (ADMIN.to_owned(), "", Some("2026-06-03")),
            (secret("acme"), "", Some("2026-06-02")),
            (secret("acme"), "&f=_user:is:ada", Some("2026-06-01")),
            (secret("acme"), "&f=_user:is:carol", None),
            (secret("acme-none-such"), "", None),
        ] {
            for page in ["", "/explore", "/requests"] {
                let page = get(&app, &format!("/tagging{page}?r=2026-05-01..2026-05-02{filter}"), &key).await;
                if page.status == StatusCode::UNAUTHORIZED {
                    continue;
                }
                assert!(page.html.contains("No requests in this range"), "{}", page.html);
                let links = page.attributes("href");
                let found = links.iter().find(|link| link.starts_with("?r=2026-06-0"));
                match day {
                    Some(day) => assert_eq!(found, Some(&format!("?r={day}..{day}{filter}"))),
                    None => assert!(found.is_none() && page.html.contains("None of the requests"), "{}", page.html),
                }
            }
        }
    }
}

#[tokio::test]
async fn ranges_and_zones_have_inputs() {
    let app = dashboard(api::memory(&api::samples()));
    let page = get(&app, &format!("/tagging?{DAYS}&tz=Asia/Tokyo"), ADMIN).await;
    assert!(page.html.contains("<input type=\"date\" name=\"from\">"), "{}", page.html);
    assert!(page.html.contains("name=\"tz\" list=\"zones\" value=\"Asia/Tokyo\""));
    // What a browser sends for the form.
    let sent = "/tagging?r=2026-06-01..2026-06-03&from=2026-06-02&to=2026-06-03&tz=UTC&k=&op=is&v=";
    let page = get(&app, sent, ADMIN).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "./tagging?r=2026-06-02..2026-06-03"));
}

#[tokio::test]
async fn values_lead_to_their_month() {
    for app in apps(&api::samples()) {
        let page = get(&app, &format!("/tagging/by/_user?{DAYS}"), ADMIN).await;
        let link = page.attributes("href").into_iter().find(|link| link.contains("showback/_user/ada")).unwrap();
        let target = pages::resolved("/tagging/by/_user", &link);
        assert!(get(&app, &target, ADMIN).await.html.contains("Cost of _user ada"));
        let last_seen = &rows(&page.html, "values")[0][7];
        let local = get(&app, &format!("/tagging/by/_user?{DAYS}&tz=Asia/Tokyo"), ADMIN).await;
        assert_ne!(last_seen, &rows(&local.html, "values")[0][7]);
    }
}

#[tokio::test]
async fn callers_who_signed_in_can_sign_out() {
    let sign_in = SignIn::new(access(), ADMIN).unwrap();
    let pages = Dashboard::with_sign_in(api::memory(&api::samples()), sign_in).into_router();
    let app = Router::new().nest("/tagging", pages);
    let form = format!("key={}", secret("acme"));
    let headers = [("sec-fetch-site", "same-origin"), ("host", "example.com")];
    let page = post(&app, "/tagging/sign-in", &headers, &form).await;
    let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let request = Request::builder().uri("/tagging").header("cookie", cookie).body(Body::empty()).unwrap();
    let page = send(&app, request).await;
    assert!(
        page.html.contains("action=\"./tagging/sign-out\"")
            && page.html.contains("acme</bdi></span> <button class=\"small\">Sign out"),
        "{}",
        page.html
    );
    let with_key = get(&app, "/tagging", ADMIN).await;
    assert!(!with_key.html.contains("Sign out"), "{}", with_key.html);
}

#[tokio::test]
async fn only_those_who_may_change_keys_get_buttons() {
    let app = dashboard(api::memory(&api::samples()));
    for (key, has_buttons) in [(ADMIN.to_owned(), true), (secret("org-admin"), true), (secret("acme-admin"), false)] {
        let page = get(&app, &format!("/tagging/keys?{DAYS}"), &key).await;
        assert_eq!(page.html.contains(">Deactivate</button>"), has_buttons, "{key}");
    }
}
