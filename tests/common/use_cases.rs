//! The statements of `src/docs/use_cases.md`, each with the events of its use case and the expected result.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    AgentRun, Event, EventLayer, Scope, Session, TaggingLayer, Tags,
    event::Outcome,
    metadata::{Diagnostic, DiagnosticCode},
    sink::MockSink,
    tags,
    usage::{Usage, UsageTap},
};

use crate::queries::Rows;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

type Events = Vec<Arc<Event>>;

/// A section of the page, its events, and the rows of its statement.
type Case = (&'static str, fn() -> Events, &'static [&'static str]);

const CASES: [Case; 10] = [
    ("Users", users, &["ada 2 0.01603", "grace 1 0.008015"]),
    ("Features", features, &["review 2 1 0.01603", "search 1 0 0.008015", "NULL 1 0 0.008015"]),
    ("Environments", environments, &["production 2 0.01603", "development 1 0.008015"]),
    ("Tenants", tenants, &["acme 2 4612 0.01603", "umbrella 1 2306 0.008015"]),
    ("Sessions with turns", sessions, &["chat-1 3 10 0.03206", "chat-2 1 0 0.008015"]),
    ("Correlation", correlation, &["NULL look up customer 200 0 NULL", "NULL NULL 500 1 NULL"]),
    ("Experiments", experiments, &["long-prompt 2 0 0 0.01603", "short-prompt 3 33.3 0 0.008015"]),
    ("Audit", audit, &["web ada export completed 2 1", "batch eve delete failed 1 0", "NULL ada export rejected 1 1"]),
    ("Agents", agents, &["plan search 2 0.01603", "plan NULL 1 0.008015", "answer NULL 1 0.008015"]),
    ("Governance", governance, &["75 50"]),
];

/// Panics unless each statement returns the expected rows. `run` writes events to an empty store and runs a statement.
pub(crate) fn check(run: impl Fn(&[Arc<Event>], &str) -> Rows) {
    for (section, events, expected) in CASES {
        let rows: Vec<String> = run(&events(), &query(section)).into_iter().map(line).collect();
        // Databases order NULL differently, where the cost is equal.
        let sorted = |mut rows: Vec<String>| {
            rows.sort();
            rows
        };
        assert_eq!(rows.first().map(String::as_str), expected.first().copied(), "{section}: {rows:?}");
        assert_eq!(sorted(rows), sorted(expected.iter().map(|row| (*row).to_owned()).collect()), "{section}");
    }
}

/// Returns the only statement of a section.
fn query(section: &str) -> String {
    let text = include_str!("../../src/docs/use_cases.md");
    let (_, after) = text.split_once(&format!("\n# {section}\n")).unwrap_or_else(|| panic!("no section {section:?}"));
    let section = after.split("\n# ").find(|part| part.contains("```sql")).unwrap();
    let statements: Vec<_> = section.split("```sql\n").skip(1).collect();
    assert_eq!(statements.len(), 1, "{section}");
    statements[0].split_once("```").unwrap().0.trim().to_owned()
}

/// Returns a row as text, with numbers and booleans in the form of SQLite.
fn line(row: Vec<Option<String>>) -> String {
    let cell = |cell: Option<String>| match cell.as_deref() {
        None => "NULL".to_owned(),
        Some("t") => "1".to_owned(),
        Some("f") => "0".to_owned(),
        Some(text) => match text.parse::<f64>() {
            Ok(number) => ((number * 1e6).round() / 1e6).to_string(),
            Err(_) => text.to_owned(),
        },
    };
    row.into_iter().map(cell).collect::<Vec<_>>().join(" ")
}

/// Returns the events of calls that cost 0.008015 US dollars each.
fn calls(count: usize, handler: impl Fn(usize, &Tags)) -> Events {
    calls_with_failure(count, None, handler)
}

/// Returns the events of calls, one of which ends with status 500.
fn calls_with_failure(count: usize, failing: Option<usize>, handler: impl Fn(usize, &Tags)) -> Events {
    let sink = MockSink::new();
    let layer = EventLayer::new(sink.clone()).usage(UsageTap::new());
    for number in 0..count {
        let service = layer.layer(service_fn(|request: Request<()>| {
            let tags = request.extensions().get::<Tags>().unwrap();
            tags.record_usage(Usage::tokens(2_006, 300).of("openai", "gpt-4o"));
            handler(number, tags);
            let mut response = Response::new(String::new());
            if failing == Some(number) {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        drop(service.oneshot(Request::new(())).now_or_never().unwrap().unwrap());
    }
    sink.events()
}

fn users() -> Events {
    calls(4, |number, tags| match number {
        0 | 1 => tags.insert("_user", "ada"),
        2 => tags.insert("_user", "grace"),
        _ => {}
    })
}

fn features() -> Events {
    calls_with_failure(4, Some(1), |number, tags| match number {
        0 | 1 => tags.insert("feature", "review"),
        2 => tags.insert("feature", "search"),
        _ => {}
    })
}

fn environments() -> Events {
    calls(3, |number, tags| {
        let environment = if number < 2 { "production" } else { "development" };
        tags.insert("environment", "test");
        tags.extend_scope(Scope::Forced, tags! { "environment" => environment });
    })
}

fn tenants() -> Events {
    calls(5, |number, tags| match number {
        0 | 1 => tags.extend_scope(Scope::Workspace, tags! { "tenant" => "acme" }),
        2 => tags.extend_scope(Scope::Workspace, tags! { "tenant" => "umbrella" }),
        3 => tags.insert("tenant", "acme"),
        _ => {}
    })
}

fn sessions() -> Events {
    calls(6, |number, tags| match number {
        // Two calls in turn 10, which is greater than turn 9.
        0..=3 => tags.extend(Session::new("chat-1").turn([2, 9, 10, 10][number])),
        4 => Session::new("chat-2").turn(0).apply(tags),
        _ => {}
    })
}

fn correlation() -> Events {
    let sink = MockSink::new();
    let layer = TaggingLayer::builder().sink(sink.clone()).build().unwrap();
    let requests = [
        ("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-01"), StatusCode::OK, Some("look up customer")),
        ("x-portkey-trace-id", TRACE_ID.to_owned(), StatusCode::INTERNAL_SERVER_ERROR, None),
        ("x-portkey-trace-id", "another-trace".to_owned(), StatusCode::OK, None),
    ];
    for (name, value, status, span) in requests {
        let service = layer.layer(service_fn(move |_: Request<_>| {
            let mut response = Response::new(String::new());
            *response.status_mut() = status;
            std::future::ready(Ok::<_, Infallible>(response))
        }));
        let mut request = Request::get("/").header(name, value);
        if let Some(span) = span {
            request = request.header("x-portkey-span-name", span);
        }
        drop(service.oneshot(request.body(String::new()).unwrap()).now_or_never().unwrap().unwrap());
    }
    sink.events()
}

fn experiments() -> Events {
    calls_with_failure(6, Some(0), |number, tags| {
        let variant = match number {
            0..=2 => "short-prompt",
            3 | 4 => "long-prompt",
            _ => return,
        };
        tags.extend([("experiment", "prompt-2026-01"), ("variant", variant)]);
        if variant == "long-prompt" {
            tags.record_usage(Usage::tokens(2_006, 300).of("openai", "gpt-4o"));
        }
    })
}

fn audit() -> Events {
    let spoofed = || Diagnostic::new(DiagnosticCode::Shadowed).with_key("_user").with_detail("root");
    let event = |user: &str, action: &str, outcome| {
        Event::builder()
            .time(SystemTime::now() - Duration::from_secs(1))
            .tags(Scope::Forced, tags! { "_user" => user })
            .tags(Scope::Handler, tags! { "action" => action })
            .outcome(outcome)
    };
    let builders = [
        event("ada", "export", Outcome::Completed).api_key("web"),
        event("ada", "export", Outcome::Completed).api_key("web").diagnostic(spoofed()),
        event("eve", "delete", Outcome::Failed).api_key("batch"),
        event("ada", "export", Outcome::Rejected).diagnostic(spoofed()),
        Event::builder().tags(Scope::Request, tags! { "_user" => "root" }),
    ];
    builders.into_iter().map(|builder| Arc::new(builder.build())).collect()
}

fn agents() -> Events {
    let run = AgentRun::new("run-7");
    calls(5, |number, tags| match number {
        0 | 1 => drop(run.step("plan").tool("search").start(tags)),
        2 => run.step("plan").apply(tags),
        3 => tags.extend(run.step("answer")),
        _ => AgentRun::new("run-8").step("plan").apply(tags),
    })
}

fn governance() -> Events {
    calls(4, |number, tags| {
        if number < 3 {
            tags.extend_scope(Scope::ApiKey, tags! { "team" => "growth" });
        } else {
            // The client may have chosen this team. The call costs as much as the others together.
            tags.insert("team", "growth");
            tags.record_usage(Usage::tokens(2 * 2_006, 2 * 300).of("openai", "gpt-4o"));
        }
    })
}
