//! Shows each customer of an application what they used this month, on the application's own billing page.
//!
//! ```text
//! cargo run --example usage_report --features analytics,llm
//! ```
//!
//! The login of the application decides which tenant a request belongs to. The same tenant is in the [`Grant`] of the
//! billing page, so that a page can never show another customer's requests. The months are those of the customer's time
//! zone. The store is in memory here. An application uses a `SqliteStore` or a `PostgresStore`.

use std::{error::Error, fmt::Write, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_tagging::{
    MetadataLayer, TagSources, TaggingLayer,
    analytics::{
        Amount, Analytics, Answer, Dimension, Field, Filter, Grant, Group, Measure, Query, QueryError, TimeRange,
        jiff::{self, Timestamp, ToSpan},
    },
    metadata::{Scope, Scopes},
    store::MemoryStore,
    tags,
    usage::UsageTap,
};

/// A customer of the application.
struct Customer {
    /// The cookie of a session. A real application has a login.
    session: &'static str,
    tenant: &'static str,
    zone: &'static str,
}

const CUSTOMERS: [Customer; 2] = [
    Customer { session: "session=of-acme", tenant: "acme", zone: "Europe/Berlin" },
    Customer { session: "session=of-globex", tenant: "globex", zone: "America/Los_Angeles" },
];

fn login(head: &Parts) -> Option<&'static Customer> {
    let session = head.headers.get(header::COOKIE)?;
    CUSTOMERS.iter().find(|customer| customer.session == session)
}

/// A feature of the application that calls an LLM. The response is like that of a provider.
async fn chat(Json(request): Json<Value>) -> Json<Value> {
    let usage = json!({"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100});
    Json(json!({"object": "chat.completion", "model": request["model"], "choices": [], "usage": usage}))
}

/// Returns the current month in a time zone.
fn this_month(zone: &str) -> Result<TimeRange, Box<dyn Error>> {
    let first: jiff::ZonedDateTime = Timestamp::now().in_tz(zone)?.first_of_month()?.start_of_day()?;
    let next = first.checked_add(1.month())?;
    Ok(TimeRange::new(first.timestamp(), next.timestamp())?.in_zone(zone)?)
}

/// Returns the usage of a customer by feature and model, the most expensive first.
async fn usage(analytics: &Analytics, customer: &Customer) -> Result<Answer, Box<dyn Error>> {
    // A tag of a trusted scope: the application sets it, and clients cannot override it.
    let grant = Grant::only([Filter::is(Dimension::tag("tenant_id"), customer.tenant)]);
    let query = Query::new(this_month(customer.zone)?)
        .group_by(Dimension::tag("feature"))
        .group_by(Field::Model)
        .measure(Measure::Cost)
        .measure(Measure::Requests)
        .measure(Measure::TotalTokens)
        .measure(Measure::UnpricedRequests);
    Ok(analytics.run(&query, &grant).await?)
}

/// The billing page.
async fn billing(State(analytics): State<Analytics>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let Some(customer) = login(&head) else {
        return (StatusCode::UNAUTHORIZED, "log in first\n").into_response();
    };
    match usage(&analytics, customer).await {
        Ok(answer) if head.uri.path() == "/billing.json" => Json(answer).into_response(),
        Ok(answer) => Html(page(customer, &answer)).into_response(),
        Err(error) => {
            eprintln!("billing page: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn page(customer: &Customer, answer: &Answer) -> String {
    let mut page = format!("<h1>Usage of {} this month ({})</h1>\n<table>\n", escape(customer.tenant), customer.zone);
    page.push_str("<tr><th>feature<th>model<th>cost in US dollars<th>requests<th>tokens<th>without a price</tr>\n");
    let mut row = |names: String, values: &[Option<Amount>]| {
        let values = values.iter().map(|value| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string()));
        let _ = writeln!(page, "<tr>{names}<td>{}</tr>", values.collect::<Vec<_>>().join("<td>"));
    };
    for Group { values, cell, .. } in &answer.groups {
        // Clients choose the names of features and models.
        let names = values.iter().map(|value| format!("<td>{}", escape(value.as_deref().unwrap_or("none"))));
        row(names.collect(), &cell.values);
    }
    // The sum is of all rows, also if the table had several pages.
    row("<th>all<th>".to_owned(), &answer.total.values);
    page.push_str("</table>\n");
    page
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// Sends a request with a cookie. Returns the status and the body.
async fn send(app: &Router, request: Request) -> Result<(StatusCode, String), Box<dyn Error>> {
    let response = app.clone().oneshot(request).await?;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    Ok((status, String::from_utf8(body.into())?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = MemoryStore::new();
    let tenant = |head: &Parts| match login(head) {
        Some(customer) => Scopes::new().with(Scope::Workspace, tags! { "tenant_id" => customer.tenant }),
        None => Scopes::new(),
    };
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(TagSources::new().allow_list("x-feature=feature")).resolver(tenant))
        .usage(UsageTap::new())
        .sink(store.sink())
        .build()?;
    let delivery = tagging.delivery();
    // The billing page is outside of the layer, so that it does not count as usage.
    let app = Router::new().route("/v1/chat/completions", post(chat)).layer(tagging).merge(
        Router::new()
            .route("/billing", get(billing))
            .route("/billing.json", get(billing))
            .with_state(Analytics::new(store.clone())),
    );

    for (customer, feature, model) in [
        (&CUSTOMERS[0], "search", "gpt-4o-mini"),
        (&CUSTOMERS[0], "search", "gpt-4o-mini"),
        (&CUSTOMERS[0], "document-review", "gpt-4o"),
        (&CUSTOMERS[0], "<script>", "our-own-model"),
        (&CUSTOMERS[1], "translation", "gpt-4o"),
    ] {
        let call = Request::post("/v1/chat/completions")
            .header(header::COOKIE, customer.session)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-feature", feature)
            .body(Body::from(json!({"model": model, "messages": []}).to_string()))?;
        assert_eq!(send(&app, call).await?.0, StatusCode::OK);
    }
    // The sink writes in the background. A page may lag by a fraction of a second.
    eprintln!("{}", delivery.shutdown(Duration::from_secs(10)).await);

    let open = |path: &str, session: &str| Request::get(path).header(header::COOKIE, session).body(Body::empty());
    for customer in &CUSTOMERS {
        let (_, page) = send(&app, open("/billing", customer.session)?).await?;
        println!("{page}");
    }
    let (status, _) = send(&app, open("/billing", "session=guessed")?).await?;
    println!("without a login: {status}");
    let (_, json) = send(&app, open("/billing.json", CUSTOMERS[0].session)?).await?;
    println!("as JSON: {json}");

    check(status, &json, &Analytics::new(store)).await
}

/// Panics unless the pages are right.
async fn check(without_login: StatusCode, json: &str, analytics: &Analytics) -> Result<(), Box<dyn Error>> {
    assert_eq!(without_login, StatusCode::UNAUTHORIZED);
    let answer: Value = serde_json::from_str(json)?;
    let groups = answer["groups"].as_array().ok_or("the answer has groups")?;
    let features: Vec<_> = groups.iter().map(|group| &group["values"][0]).collect();
    assert_eq!(features, ["document-review", "search", "<script>"], "another customer's features are not listed");
    let everything = Query::new(this_month("UTC")?).measure(Measure::Cost).measure(Measure::Requests);
    let all = analytics.run(&everything, &Grant::everything()).await?.total.totals;
    let mut costs = 0;
    for customer in &CUSTOMERS {
        let usage = usage(analytics, customer).await?;
        costs += usage.total.totals.cost_nanos;
    }
    assert_eq!((costs, all.requests), (all.cost_nanos, 5));
    let forbidden = Query::new(this_month("UTC")?).filter(Filter::is(Dimension::tag("tenant_id"), "globex"));
    let acme = Grant::only([Filter::is(Dimension::tag("tenant_id"), "acme")]);
    let none: Result<Answer, QueryError> = analytics.run(&forbidden.measure(Measure::Requests), &acme).await;
    assert_eq!(none?.total.totals.requests, 0, "no filter widens a grant");
    Ok(())
}
