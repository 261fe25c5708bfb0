//! Views of traces, sessions, and agent runs.

mod common;
#[path = "common/rows.rs"]
mod rows;

use std::{sync::Arc, time::Duration};

use rows::{analytics, day, event};
use serde_json::{Value, json};
use tower_tagging::{
    Event,
    analytics::{Amount, Analytics, Filter, Grant, QueryError, TimeRange, TraceView},
    registry::Permission,
    store::{Field, SqliteStore},
};

const SECOND: u64 = 1_000_000;

/// Returns the view of the trace with all events.
async fn view(events: Vec<Arc<Event>>) -> TraceView {
    let (analytics, _) = analytics(events).await;
    TraceView::of_trace(&analytics, format!("{:032x}", 7), day(), &Grant::everything()).await.unwrap()
}

/// Returns a turn of the step with this name, one second after the previous one.
fn step(number: u64, name: &str, changes: Value) -> Arc<Event> {
    let mut changes = changes;
    changes["trace"]["span_name"] = name.into();
    event(number, number * SECOND, changes)
}

fn failed() -> Value {
    json!({"response": {"status": 503}})
}

#[tokio::test]
async fn turns_are_in_order_with_the_running_cost_and_the_growth_of_the_context() {
    let cost = |dollars: f64| json!({"llm": {"cost_usd": dollars, "input_cost_usd": null, "output_cost_usd": null}});
    let mut events = vec![step(0, "one", cost(0.25)), step(1, "two", cost(0.5)), step(2, "three", cost(0.125))];
    for (event, tokens) in events.iter_mut().zip([1_000, 4_500, 4_000]) {
        let mut json = serde_json::to_value(&**event).unwrap();
        json["llm"]["usage"]["input_tokens"] = tokens.into();
        *event = Arc::new(serde_json::from_value(json).unwrap());
    }
    // Without tokens, it is skipped. Another model has its own context.
    events.push(step(
        3,
        "four",
        json!({"llm": {"usage_status": "absent", "usage": null, "cost_status": "no_usage",
        "cost_usd": null, "input_cost_usd": null, "output_cost_usd": null, "price_source": null}}),
    ));
    events.push(step(4, "five", json!({"llm": {"request_model": "small", "usage": {"input_tokens": 9}}})));
    events.push(step(5, "six", json!({"llm": null})));
    events.reverse();
    let view = view(events).await;
    let names: Vec<_> = view.turns.iter().map(|turn| turn.name.as_str()).collect();
    assert_eq!(names, ["one", "two", "three", "four", "five", "six"]);
    let running: Vec<_> = view.turns.iter().map(|turn| turn.running_cost.to_string()).collect();
    assert_eq!(running, ["0.25", "0.75", "0.875", "0.875", "0.8785", "0.8785"]);
    let growth: Vec<_> = view.turns.iter().map(|turn| turn.input_growth).collect();
    assert_eq!(growth, [None, Some(3_500), Some(-500), None, None, None]);
    assert_eq!((view.turns[3].cost, view.turns[5].cost), (None, None), "unknown is not zero");
    let offsets: Vec<_> = view.turns.iter().map(|turn| turn.offset_ms).collect();
    assert_eq!(offsets, [0, 1_000, 2_000, 3_000, 4_000, 5_000]);
    let summary = &view.summary;
    assert_eq!(summary.cost, Amount::NanoUsd(878_500_000));
    assert_eq!((summary.turns, summary.llm_calls, summary.unpriced, summary.unpriced_share), (6, 5, 1, Some(20.0)));
    assert_eq!((summary.max_input_tokens, summary.costliest, summary.slowest), (Some(4_500), Some(1), Some(0)));
    assert_eq!((summary.duration_ms, summary.first_failure, summary.wasted_share), (Some(5_250), None, Some(0.0)));
    assert!(view.loops.is_empty() && !view.is_cut);
}

#[tokio::test]
async fn requests_within_requests_form_a_tree() {
    let span = |span: &str, parent: Value| json!({"trace": {"span_id": span, "parent_span_id": parent}});
    let ids = ["aaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaa2", "aaaaaaaaaaaaaaa3"];
    let view = view(vec![
        event(0, 0, span(ids[0], json!("00f067aa0ba902b7"))),
        event(1, 1, span(ids[1], json!(ids[0]))),
        event(2, 2, span(ids[2], json!(ids[1]))),
        event(3, 3, span("aaaaaaaaaaaaaaa4", json!(ids[0]))),
        // Clients choose ids, so they may form a circle.
        event(4, 4, span("aaaaaaaaaaaaaaa5", json!("aaaaaaaaaaaaaaa6"))),
        event(5, 5, span("aaaaaaaaaaaaaaa6", json!("aaaaaaaaaaaaaaa5"))),
        event(6, 6, span("aaaaaaaaaaaaaaa7", json!("aaaaaaaaaaaaaaa7"))),
    ])
    .await;
    let tree: Vec<_> = view.turns.iter().map(|turn| (turn.parent, turn.depth)).collect();
    let expected = [(None, 0), (Some(0), 1), (Some(1), 2), (Some(0), 1), (Some(5), 64), (Some(4), 64), (None, 0)];
    assert_eq!(tree, expected);
    assert_eq!(view.turns[0].parent_span_id.as_deref(), Some("00f067aa0ba902b7"));
}

#[tokio::test]
async fn retries_follow_failures_of_the_same_step() {
    let view = view(vec![
        step(0, "plan", failed()),
        step(1, "search", json!({})),
        step(2, "plan", failed()),
        step(3, "plan", json!({"llm": {"request_model": "fallback"}})),
        // The failure is settled.
        step(4, "plan", json!({})),
        step(5, "write", json!({"outcome": "cancelled"})),
        step(6, "write", json!({})),
        // This one began before the failure had ended.
        step(7, "rank", json!({"response": {"status": 500}, "timing": {"duration_us": 2_000_000}})),
        step(8, "rank", json!({})),
    ])
    .await;
    let retries: Vec<_> = view.turns.iter().map(|turn| turn.retry_of).collect();
    assert_eq!(retries, [None, None, Some(0), Some(2), None, None, None, None, None]);
    let summary = &view.summary;
    assert_eq!((summary.failures, summary.retries, summary.cancelled, summary.first_failure), (3, 2, 1, Some(0)));
    // Each of the nine turns costs the same. Three failed, and one of the two retries succeeded.
    assert_eq!((summary.failure_cost, summary.retry_cost), (Amount::NanoUsd(10_500_000), Amount::NanoUsd(3_500_000)));
    let share = summary.wasted_share.unwrap();
    assert!((share - 400.0 / 9.0).abs() < 1e-9, "{share}");
}

#[tokio::test]
async fn the_next_turn_of_a_user_is_no_retry_and_no_loop() {
    let turn = |number: u64, status: u64| {
        let tags = json!({"session_id": "chat-42", "turn": number.to_string()});
        event(number, number * SECOND, json!({"metadata": tags, "response": {"status": status}}))
    };
    let (analytics, _) = analytics(vec![turn(0, 503), turn(1, 200), turn(2, 200), turn(3, 200)]).await;
    let view = TraceView::of_tag(&analytics, "session_id", "chat-42", day(), &Grant::everything()).await.unwrap();
    assert!(view.turns.iter().all(|turn| turn.retry_of.is_none() && turn.in_loop.is_none()));
    assert_eq!(view.turns[3].turn.as_deref(), Some("3"));
    assert_eq!(view.summary.failures, 1);
}

#[tokio::test]
async fn repeated_steps_are_loops() {
    let names = [
        "plan", "search", "read", "search", "read", "search", "read", "write", "check", "check", "check", "check",
        "write", "end", "end",
    ];
    let steps = names.iter().enumerate().map(|(number, name)| step(number as u64, name, json!({})));
    let view = view(steps.collect()).await;
    let loops: Vec<_> =
        view.loops.iter().map(|found| (found.steps.join(" "), found.repeats, found.turns.clone())).collect();
    let expected =
        [("search read".to_owned(), 3, (1..=6).collect::<Vec<_>>()), ("check".to_owned(), 4, (8..=11).collect())];
    assert_eq!(loops, expected);
    assert_eq!(view.loops[0].cost, Amount::NanoUsd(6 * 3_500_000));
    let marks: Vec<_> = view.turns.iter().map(|turn| turn.in_loop).collect();
    let marked = |loop_of: &dyn Fn(usize) -> Option<usize>| (0..15).map(loop_of).collect::<Vec<_>>();
    assert_eq!(
        marks,
        marked(&|at| if (1..=6).contains(&at) {
            Some(0)
        } else if (8..=11).contains(&at) {
            Some(1)
        } else {
            None
        })
    );
}

#[tokio::test]
async fn steps_without_a_name_are_loops_only_if_their_input_is_equally_large() {
    let sized = |sizes: [u64; 4]| {
        let turn = |(number, tokens): (usize, &u64)| {
            event(number as u64, number as u64 * SECOND, json!({"llm": {"usage": {"input_tokens": tokens}}}))
        };
        sizes.iter().enumerate().map(turn).collect::<Vec<_>>()
    };
    assert_eq!(view(sized([10, 20, 30, 40])).await.loops.len(), 0, "a conversation grows");
    let equal = view(sized([5, 20, 20, 20])).await;
    assert_eq!((equal.loops.len(), &equal.loops[0].turns), (1, &vec![1, 2, 3]));
    let other_models = sized([20; 4]).into_iter().enumerate().map(|(number, event)| {
        let mut json = serde_json::to_value(&*event).unwrap();
        json["llm"]["request_model"] = format!("model-{number}").into();
        Arc::new(serde_json::from_value(json).unwrap())
    });
    assert_eq!(view(other_models.collect()).await.loops.len(), 0);
    let unknown = (0..4).map(|number| event(number, number * SECOND, json!({"llm": null})));
    assert_eq!(view(unknown.collect()).await.loops.len(), 0);
}

#[tokio::test]
async fn conversations_at_the_same_time_are_separate() {
    let turn = |number: u64, run: &str, step: &str| {
        let tags = json!({"agent_run_id": run, "agent_step": step});
        event(number, number * SECOND, json!({"metadata": tags}))
    };
    let view = view(vec![
        turn(0, "a", "plan"),
        turn(1, "b", "fetch"),
        turn(2, "a", "plan"),
        turn(3, "b", "parse"),
        turn(4, "a", "plan"),
        turn(5, "b", "store"),
    ])
    .await;
    assert_eq!(view.loops.iter().map(|found| found.turns.clone()).collect::<Vec<_>>(), [vec![0, 2, 4]]);
    assert_eq!(view.turns[1].name, "fetch");
}

#[tokio::test]
async fn finds_traces_by_both_ids() {
    let (analytics, _) = analytics(vec![
        event(0, 0, json!({"trace": {"client_trace_id": "run-7"}})),
        event(1, 1, json!({"trace": {"trace_id": "0af7651916cd43dd8448eb211c80319c", "client_trace_id": "run-7"}})),
        event(2, 2, json!({})),
    ])
    .await;
    for (id, turns, traces) in [("run-7", 2, 2), ("0af7651916cd43dd8448eb211c80319c", 1, 1), ("none", 0, 0)] {
        let view = TraceView::of_trace(&analytics, id, day(), &Grant::everything()).await.unwrap();
        assert_eq!((view.turns.len(), view.summary.traces), (turns, traces), "{id}");
    }
    let empty = TraceView::of_trace(&analytics, "none", day(), &Grant::everything()).await.unwrap();
    assert_eq!((empty.summary.started_at, empty.summary.wasted_share, empty.summary.costliest), (None, None, None));
}

#[tokio::test]
async fn shows_only_the_rows_of_the_grant() {
    let tags = |team: &str| json!({"workspace": team, "metadata": {"session_id": "chat-42"}});
    let (analytics, _) = analytics(vec![event(0, 0, tags("search")), event(1, 1, tags("growth"))]).await;
    let grant = Grant::only([Filter::is(Field::Workspace, "search")]);
    let view = TraceView::of_tag(&analytics, "session_id", "chat-42", day(), &grant).await.unwrap();
    assert_eq!((view.turns.len(), view.summary.cost), (1, Amount::NanoUsd(3_500_000)));
    let sums_only = grant.with_permissions([Permission::AnalyticsView].into_iter().collect());
    let error = TraceView::of_tag(&analytics, "session_id", "chat-42", day(), &sums_only).await.unwrap_err();
    assert!(matches!(error, QueryError::Forbidden(_)), "{error}");
}

#[tokio::test]
async fn describes_at_most_five_thousand_turns() {
    let template = serde_json::to_value(&*event(0, 0, json!({}))).unwrap();
    let events = (0..5_001_u64).map(|number| {
        let mut json = template.clone();
        json["id"] = format!("01979b3c-0000-7000-8000-{number:012x}").into();
        Arc::new(serde_json::from_value(json).unwrap())
    });
    let all: Vec<Arc<Event>> = events.collect();
    let complete = view(all[..5_000].to_vec()).await;
    assert_eq!((complete.turns.len(), complete.is_cut), (5_000, false));
    // All turns are equal, so they are one loop.
    assert_eq!((complete.loops.len(), complete.loops[0].repeats), (1, 5_000));
    let cut = view(all).await;
    assert_eq!((cut.turns.len(), cut.is_cut), (TraceView::MAX_TURNS, true));
}

/// A key that is not active has no index. The latest requests are read first, until the time is over.
#[tokio::test]
async fn reading_the_requests_of_a_session_ends_in_time_and_reports_what_it_covers() {
    let turn =
        |number: u64, session: &str| event(number, number * SECOND, json!({"metadata": {"session_id": session}}));
    // From 12:00 to 15:00.
    let mut events: Vec<_> = (0..1_000).map(|number| turn(number * 10, "others")).collect();
    events.extend([turn(1, "early"), turn(10_800, "late")]);
    let range = || TimeRange::parse("2026-05-01T00:00:00Z", "2026-06-02T13:00:00Z", "UTC").unwrap();
    let path = std::env::temp_dir().join(format!("tower-tagging-traces-{}.db", std::process::id()));
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().unwrap();
    let analytics = Analytics::new(store);
    analytics.write(events, &Grant::everything()).await.unwrap();
    let view = async |analytics: &Analytics, session: &str| {
        TraceView::of_tag(analytics, "session_id", session, range(), &Grant::everything()).await.unwrap()
    };
    for session in ["early", "late"] {
        let complete = view(&analytics, session).await;
        assert_eq!((complete.turns.len(), complete.is_cut), (1, false), "{session}");
        assert_eq!((complete.from, complete.to), (range().from(), range().to()));
    }
    let hurried = analytics.clone().row_limits(Analytics::DEFAULT_ROW_LIMIT, Duration::ZERO);
    for (session, turns) in [("early", 0), ("late", 1)] {
        let cut = view(&hurried, session).await;
        assert_eq!((cut.turns.len(), cut.is_cut, cut.to), (turns, true, range().to()), "{session}");
        assert!(cut.from > "2026-06-01T12:30:00Z".parse().unwrap() && cut.from < cut.to, "{}", cut.from);
    }
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

#[tokio::test]
async fn serializes_money_in_dollars_and_unknown_values_as_null() {
    let view =
        serde_json::to_value(view(vec![step(0, "plan", json!({"llm": {"error": "overloaded"}}))]).await).unwrap();
    assert_eq!(
        view,
        json!({
            "turns": [{
                "id": "01979b3c-0000-7000-8000-000000000000", "requested_at": "2026-06-01T12:00:00Z", "offset_ms": 0,
                "duration_ms": 250, "time_to_first_token_ms": null, "trace_id": format!("{:032x}", 7),
                "span_id": format!("{:016x}", 1), "parent_span_id": null, "parent": null, "depth": 0, "name": "plan",
                "span_path": null, "turn": null, "provider": "openai", "model": "gpt-4o-2024-08-06",
                "operation": "chat", "status_code": 200, "outcome": "completed", "error": "overloaded", "is_error": true, "retry_of": null,
                "in_loop": null, "input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": null,
                "input_growth": null, "cost": 0.0035, "running_cost": 0.0035, "cost_status": "priced"
            }],
            "loops": [],
            "summary": {
                "turns": 1, "llm_calls": 1, "traces": 1, "started_at": "2026-06-01T12:00:00Z",
                "ended_at": "2026-06-01T12:00:00.25Z", "duration_ms": 250, "cost": 0.0035, "unpriced": 0,
                "unpriced_share": 0.0, "failures": 1, "failure_cost": 0.0035, "retries": 0, "retry_cost": 0.0,
                "wasted_share": 100.0, "cancelled": 0, "input_tokens": 1_000, "output_tokens": 100,
                "cache_read_tokens": 0, "max_input_tokens": 1_000, "first_failure": 0, "costliest": 0, "slowest": 0
            },
            "is_cut": false,
            "from": "2026-06-01T00:00:00Z",
            "to": "2026-06-02T00:00:00Z"
        })
    );
}
