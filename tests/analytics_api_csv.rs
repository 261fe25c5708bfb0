//! Queries as CSV of the HTTP API.

#[path = "common/api.rs"]
mod api;

use std::{collections::HashMap, sync::Arc};

use axum::{Router, body::Body};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_tagging::{
    Event,
    analytics::{Analytics, Grant},
};

use api::{ADMIN, FROM, Sample, TO, samples, stores};

fn apps() -> Vec<Router> {
    stores(&samples()).into_iter().map(api::api).collect()
}

fn csv_rows(bytes: &[u8]) -> Vec<HashMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().map(Result::unwrap).collect()
}

/// Returns the events of many users, one per user.
fn of_users(count: u64) -> Vec<Arc<Event>> {
    (0..count).map(|number| Sample { user: Some(user(number)), ..Sample::default() }.event()).collect()
}

fn user(number: u64) -> &'static str {
    Box::leak(format!("Zoë-{number:04}").into_boxed_str())
}

/// Asks for CSV. Returns the status and the body.
async fn ask(app: &Router, body: &Value) -> (u16, Body) {
    let request = Request::post("/query").header("x-portkey-api-key", ADMIN).header("accept", "text/csv");
    let response = app.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    (response.status().as_u16(), response.into_body())
}

#[tokio::test]
async fn queries_are_answered_as_csv_if_the_client_prefers_it() {
    let body = json!({
        "range": { "from": FROM, "to": TO }, "group_by": ["workspace"], "measures": ["requests", "cost"],
        "order": { "by": "values" },
    });
    for app in apps() {
        let send = async |accept: &str| {
            let request = Request::post("/query").header("x-portkey-api-key", ADMIN).header("accept", accept);
            let response = app.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            (media_type, String::from_utf8(bytes.to_vec()).unwrap())
        };
        for accept in [
            "text/csv",
            "TEXT/CSV;q=0.9, */*;q=0.1",
            "text/html, text/csv",
            "text/*",
            "application/json;q=0.5, text/csv",
            "application/json;q=0, */*",
            "text/csv, */*",
            "*/*;q=0.2, text/*;q=0.3",
        ] {
            let (media_type, text) = send(accept).await;
            assert_eq!(media_type, "text/csv; charset=utf-8; header=present", "{accept}");
            assert_eq!(text, "workspace,requests,cost\r\nacme,10,0.175000001\r\nglobex,3,1.029999999\r\n");
        }
        for accept in [
            "application/json",
            "*/*",
            "application/json, text/csv",
            "text/csv;q=0.4, application/json;q=0.5",
            "text/csv;q=0, */*",
            "text/csv;q=0",
            "text/html",
            "",
        ] {
            let (media_type, text) = send(accept).await;
            assert_eq!(media_type, "application/json", "{accept}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["group_count"], 2);
        }
    }
}

#[tokio::test]
async fn csv_of_a_query_has_all_groups_or_the_cursor_of_the_next_ones() {
    let app = api::api(api::memory(&of_users(2_100)));
    let send = async |limit: Option<u32>, cursor: Option<&str>| {
        let mut body = json!({
            "range": { "from": FROM, "to": TO }, "group_by": ["metadata._user"], "order": { "by": "values" },
        });
        if let Some(limit) = limit {
            body["limit"] = limit.into();
        }
        body["cursor"] = cursor.into();
        let request = Request::post("/query").header("x-portkey-api-key", ADMIN).header("accept", "text/csv");
        let response = app.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        assert_eq!((head.status.as_u16(), &head.headers["x-tagging-exact"]), (200, &"true".parse().unwrap()));
        let next = head.headers.get("x-tagging-next").map(|next| next.to_str().unwrap().to_owned());
        (csv_rows(&body.collect().await.unwrap().to_bytes()), next)
    };
    let users = |rows: &[HashMap<String, String>]| -> Vec<String> {
        rows.iter().map(|row| row["metadata._user"].clone()).collect()
    };
    let all: Vec<String> = (0..2_100).map(|number| user(number).to_owned()).collect();
    let (rows, next) = send(None, None).await;
    assert_eq!((users(&rows), next), (all.clone(), None));
    let (rows, next) = send(Some(999), None).await;
    assert_eq!(users(&rows), all[..999]);
    let (rows, next) = send(Some(1_000), next.as_deref()).await;
    assert_eq!(users(&rows), all[999..1_999]);
    let (rows, next) = send(Some(1_000), next.as_deref()).await;
    assert_eq!((users(&rows), next), (all[1_999..].to_vec(), None));
}

/// Pages with many buckets have few groups, so that an answer does not need more sums than it may have.
#[tokio::test]
async fn pages_of_csv_have_a_bounded_number_of_lines() {
    for analytics in stores(&of_users(150)) {
        let app = api::api(analytics);
        let query = json!({
            "range": { "from": FROM, "to": "2026-06-02T00:00:00Z" }, "group_by": ["metadata._user"],
            "bucket": "minute", "order": { "by": "values" },
        });
        let (status, mut body) = ask(&app, &query).await;
        assert_eq!(status, 200);
        let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() - 1;
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!((1_440..100_002).contains(&lines(&first)), "{}", lines(&first));
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(lines(&first) + lines(&rest), 1 + 150 * 1_440);
    }
}

/// Each page ranks all groups, so a file has a bounded number of pages.
#[tokio::test]
async fn csv_of_a_query_has_a_bounded_number_of_pages() {
    let app = api::api(api::memory(&of_users(5_100)));
    // 1,994 buckets leave room for 50 groups on a page.
    let query = |to: &str| {
        json!({
            "range": { "from": "2026-06-01T01:00:00Z", "to": to }, "group_by": ["metadata._user"], "bucket": "minute",
        })
    };
    let (status, body) = ask(&app, &query("2026-06-02T10:14:00Z")).await;
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("5100 groups") && text.contains("5000"), "{text}");
}

/// The place at which a limit cuts the range moves while requests arrive.
#[tokio::test]
async fn csv_of_a_query_ends_early_if_its_pages_cover_different_ranges() {
    let range = json!({ "from": FROM, "to": TO });
    let at = |hour: u64, count: u64| (0..count).map(move |_| Sample { hour, ..Sample::default() }.event());
    let events: Vec<_> = at(20, 1_500).chain(at(10, 1)).chain(at(5, 1)).collect();
    // The memory store has no limits, and active keys are answered from sums.
    for analytics in stores(&events).into_iter().skip(1) {
        let analytics = analytics.row_limits(1_550, Analytics::DEFAULT_TIME_LIMIT);
        let app = api::api(analytics.clone());
        let query = json!({ "range": range, "group_by": ["trace_id"], "order": { "by": "values" } });
        let (status, mut body) = ask(&app, &query).await;
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((status, csv_rows(&first).len()), (200, 1_000));
        analytics.write(at(30, 100).collect(), &Grant::everything()).await.unwrap();
        assert!(body.collect().await.is_err());
    }
}
