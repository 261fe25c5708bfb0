//! The statements of `src/docs/queries.md`, and their expected results for calls with and without a known price.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use tower_tagging::{Event, Tags, event::Outcome, metadata::Scope, tags, usage::Usage};

use crate::events::priced_events_at;

/// Returns the statement of a section, for `Postgres` or `SQLite`.
pub(crate) fn query(database: &str, section: &str) -> String {
    let text = include_str!("../../src/docs/queries.md");
    let (_, after) = text.split_once(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("no section {section:?}"));
    let section = after.split("\n## ").next().unwrap();
    let (_, after) = section.split_once(&format!("\n{database}")).unwrap_or_else(|| panic!("no {database}: {section}"));
    let (_, after) = after.split_once("```sql\n").unwrap();
    let statement = after.split_once("```").unwrap().0.trim();
    assert!(!statement.contains("NULLS LAST"), "{statement}");
    statement.to_owned()
}

/// Returns events of calls with and without a price, and of requests that are not LLM calls.
///
/// One unit of cost is the price of 2,006 input tokens and 300 output tokens of `gpt-4o`: 0.008015 US dollars.
pub(crate) fn spending_events() -> Vec<Arc<Event>> {
    let now = SystemTime::now();
    let days = |days: u64| now - Duration::from_secs(60 * 60 * 24 * days);
    let priced =
        |tags: &Tags, units: u64| tags.record_usage(Usage::tokens(2_006 * units, 300 * units).of("openai", "gpt-4o"));
    let unpriced =
        |tags: &Tags| tags.record_usage(Usage::tokens(1_000_000, 1).of("unknown-provider", "unpriced-model"));
    let set = |tags: &Tags, feature: &str, team: &str, user: &str| {
        tags.insert("Feature", feature);
        tags.insert("Team", team);
        tags.insert("User-Id", user);
    };

    let mut events = priced_events_at(now, 3, |number, tags| {
        set(tags, "document-review", "growth", ["ada", "ada", "grace"][number]);
        tags.extend_scope(Scope::Workspace, tags! { "Tenant" => "acme" });
        priced(tags, 1);
    });
    events.extend(priced_events_at(now, 1, |_, tags| {
        set(tags, "search", "ads", "ada");
        priced(tags, 1);
    }));
    events.extend(priced_events_at(now, 2, |_, tags| {
        set(tags, "chat", "growth", "eve");
        unpriced(tags);
    }));
    events.extend(priced_events_at(now, 1, |_, tags| unpriced(tags)));
    events.extend(priced_events_at(days(40), 1, |_, tags| {
        set(tags, "archive", "growth", "old");
        priced(tags, 2);
    }));
    events.extend(priced_events_at(days(200), 1, |_, tags| {
        set(tags, "ancient", "growth", "old");
        priced(tags, 20);
    }));
    events.extend(priced_events_at(now, 4, |_, tags| set(tags, "document-review", "growth", "ada")));
    events.extend(priced_events_at(now, 2, |_, tags| set(tags, "static", "web", "visitor")));
    events.extend(routed_events(now));
    events
}

/// Returns requests with a route that ended in different ways. None of them is an LLM call.
fn routed_events(time: SystemTime) -> impl Iterator<Item = Arc<Event>> {
    let builder = |outcome| Event::builder().time(time).outcome(outcome).route("/ask");
    let builders = [
        builder(Outcome::Completed).status(StatusCode::OK),
        builder(Outcome::Completed).status(StatusCode::NOT_FOUND),
        builder(Outcome::Completed).status(StatusCode::INTERNAL_SERVER_ERROR),
        builder(Outcome::Rejected).status(StatusCode::TOO_MANY_REQUESTS),
        builder(Outcome::Failed),
        builder(Outcome::Panicked).status(StatusCode::OK),
        builder(Outcome::Cancelled).status(StatusCode::OK),
        builder(Outcome::Cancelled),
        builder(Outcome::Completed).status(StatusCode::OK).grpc_status(0),
        builder(Outcome::Cancelled).status(StatusCode::OK).grpc_status(1),
        builder(Outcome::Completed).status(StatusCode::OK).grpc_status(5),
        builder(Outcome::Completed).status(StatusCode::OK).grpc_status(16),
        builder(Outcome::Failed).status(StatusCode::OK).grpc_status(13),
    ];
    builders.into_iter().map(|builder| Arc::new(builder.build()))
}

/// The rows of a result, as text. `None` is `NULL`.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// Panics unless all statements return the expected rows for [`spending_events`], with the activated key `Feature`.
pub(crate) fn check(database: &str, run: impl Fn(&str) -> Rows) {
    let rows = |section: &str, columns: &[usize], cost: usize| -> Vec<String> {
        let line = |row: Vec<Option<String>>| {
            let values = columns.iter().map(|at| row[*at].clone().unwrap_or_else(|| "NULL".to_owned()));
            let cost: f64 = row[cost].as_ref().expect("a cost is never NULL").parse().unwrap();
            let units = cost / 0.008_015;
            values.chain([format!("{units:.3}")]).collect::<Vec<_>>().join(" ")
        };
        run(&query(database, section)).into_iter().map(line).collect()
    };
    // Groups without a known cost rank last, in any order.
    let check = |rows: Vec<String>, ranked: &[&str], unknown: &[&str]| {
        let (first, last) = rows.split_at(ranked.len().min(rows.len()));
        assert_eq!(first, ranked, "{rows:?}");
        let mut last = last.to_vec();
        last.sort();
        assert_eq!(last, unknown, "{rows:?}");
    };

    check(
        rows("By feature", &[0, 1, 2, 3], 4),
        &[
            "ancient 1 40120 6000 20.000",
            "document-review 3 6018 900 3.000",
            "archive 1 4012 600 2.000",
            "search 1 2006 300 1.000",
        ],
        &["NULL 1 1000000 1 0.000", "chat 2 2000000 2 0.000"],
    );
    check(rows("By team and month", &[0], 2), &["growth 3.000", "ads 1.000", "NULL 0.000", "growth 2.000"], &[]);
    check(rows("By model", &[0, 1], 2), &["gpt-4o 6 26.000"], &["unpriced-model 3 0.000"]);
    check(
        rows("Top spenders of the last seven days", &[0, 1], 2),
        &["ada 3 3.000", "grace 1 1.000"],
        &["NULL 1 0.000", "eve 2 0.000"],
    );
    check(rows("One feature, by the index", &[0], 1), &["3 3.000"], &[]);
    check(rows("By tenant and day", &[0], 2), &["acme 3.000", "NULL 1.000"], &[]);
    check(rows("By tenant, except where the client chose it", &[0, 1], 2), &["acme 3 3.000"], &[]);
    let errors = run(&query(database, "Errors by route")).remove(0);
    assert_eq!(errors, ["/ask", "13", "8"].map(|text| Some(text.to_owned())));
}
