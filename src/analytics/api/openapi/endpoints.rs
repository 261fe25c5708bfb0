use utoipa::{
    ToSchema,
    openapi::{
        HttpMethod::{Get, Post, Put},
        RefOr,
        schema::{AllOfBuilder, ObjectBuilder, OneOfBuilder, Schema, Type},
    },
};

use crate::registry::Permission;

use super::{
    super::{
        admin_lists::{VirtualKeyShape, WorkspaceShape},
        api_error::ErrorBody,
        export_endpoints::{ExportLink, ExportMessage, ExportRestrictions, ExportSaved},
        export_form::ExportForm,
        export_job::ExportShape,
        feedback::{FeedbackForm, FeedbackSaved},
        graphs::shapes,
        log_cost::LogCost,
        log_entry::LogEntry,
        log_id,
        log_shape::LogDetails,
        logs::LogsCreated,
        parameter::{EXPORTS, FOCUS, GROUPS, LINK, RANGE, ROW_EXPORT, SELECTION, SERIES, VIRTUAL_KEYS, WORKSPACES},
        query_form::QueryForm,
    },
    answer::{answer, basis, explanation},
    components::{Components, envelope, group, list_of, value},
    endpoint::Endpoint,
    records::{manifest, trace_view},
};

/// Returns all endpoints.
pub(super) fn endpoints(components: &mut Components) -> Vec<Endpoint> {
    components.of::<ErrorBody>();
    let mut endpoints = graphs(components);
    endpoints.extend(groups(components));
    endpoints.extend(logs(components));
    endpoints.extend(exports(components));
    endpoints.extend(files(components));
    endpoints.extend(traces(components));
    endpoints.extend(others(components));
    endpoints
}

/// Returns the schema of an answer that has its basis if it is not exact.
fn based(answer: RefOr<Schema>) -> RefOr<Schema> {
    AllOfBuilder::new().item(answer).item(ObjectBuilder::new().property("basis", basis())).into()
}

fn graphs(components: &mut Components) -> Vec<Endpoint> {
    fn graph<T: ToSchema>(components: &mut Components, path: &'static str, summary: &'static str) -> Endpoint {
        let answer = based(components.of::<T>());
        Endpoint::new(Get, path, Permission::AnalyticsView, summary, answer).query(SERIES).with_basis()
    }
    vec![
        graph::<shapes::RequestsGraph>(components, "/analytics/graphs/requests", "Requests"),
        graph::<shapes::CostGraph>(components, "/analytics/graphs/cost", "The known cost, in cents"),
        graph::<shapes::TokensGraph>(components, "/analytics/graphs/tokens", "Tokens"),
        graph::<shapes::LatencyGraph>(components, "/analytics/graphs/latency", "The time of requests, in milliseconds"),
        graph::<shapes::UsersGraph>(components, "/analytics/graphs/users", "Users"),
        graph::<shapes::UserRequestsGraph>(components, "/analytics/graphs/users/requests", "Requests per user"),
        graph::<shapes::ErrorsGraph>(components, "/analytics/graphs/errors", "Errors"),
        graph::<shapes::ErrorRateGraph>(components, "/analytics/graphs/errors/rate", "The share of errors, in percent"),
        graph::<shapes::ErrorStacksGraph>(components, "/analytics/graphs/errors/stacks", "Errors by status over time"),
        graph::<shapes::ErrorStatusGraph>(components, "/analytics/graphs/errors/status-codes", "Errors by status")
            .query(SELECTION),
        graph::<shapes::RescuedGraph>(components, "/analytics/graphs/requests/rescued", "Rescued requests: always 0"),
        graph::<shapes::CacheHitGraph>(
            components,
            "/analytics/graphs/cache/hit-rate",
            "Hits of a response cache: always 0",
        ),
        graph::<shapes::CacheLatencyGraph>(
            components,
            "/analytics/graphs/cache/latency",
            "Time of a response cache: always 0",
        ),
        graph::<shapes::FeedbackGraph>(components, "/analytics/graphs/feedbacks", "Feedback"),
        graph::<shapes::FeedbackScoresGraph>(components, "/analytics/graphs/feedbacks/scores", "Feedback by value")
            .query(SELECTION),
        graph::<shapes::WeightedFeedbackGraph>(
            components,
            "/analytics/graphs/feedbacks/weighted",
            "The average of feedback",
        ),
        graph::<shapes::ModelFeedbackGraph>(components, "/analytics/graphs/feedbacks/ai-models", "Feedback by model")
            .query(SELECTION),
        graph::<shapes::CacheSummary>(
            components,
            "/analytics/summary/cache",
            "The response cache: only requests are not 0",
        )
        .query(SELECTION),
    ]
}

fn groups(components: &mut Components) -> Vec<Endpoint> {
    let row = components.add("AnalyticsGroup", group());
    let list = based(components.add("AnalyticsGroupList", envelope(row)));
    let group = |path, permission, summary| {
        Endpoint::new(Get, path, permission, summary, list.clone()).query(GROUPS).with_basis()
    };
    let view = Permission::AnalyticsView;
    vec![
        group("/analytics/groups/users", view, "Requests and cost by user"),
        group("/analytics/groups/ai-models", view, "Requests by model"),
        group("/analytics/groups/metadata/{key}", view, "Requests, cost, tokens, and feedback by the values of a tag"),
        group(
            "/analytics/groups/{group_by}",
            view,
            "Groups by ai_service, model, status_code, api_key, config, workspace, provider, virtual_key, or prompt",
        ),
        group("/logs/groups/{group_by}", Permission::LogsView, "The same groups, for viewers of logs"),
    ]
}

/// Returns the schema of one thing or a list.
fn one_or_many(one: RefOr<Schema>) -> RefOr<Schema> {
    OneOfBuilder::new().item(one.clone()).item(list_of(one)).into()
}

fn logs(components: &mut Components) -> Vec<Endpoint> {
    let entry = one_or_many(components.of::<LogEntry>());
    let feedback = components.of::<FeedbackForm>();
    let saved = components.of::<FeedbackSaved>();
    vec![
        Endpoint::new(
            Post,
            "/logs",
            Permission::LogsWrite,
            "Adds requests of other systems",
            components.of::<LogsCreated>(),
        )
        .header(log_id::IDEMPOTENCY_KEY, "One id for all logs without their own, so that they can be sent again.")
        .body(entry),
        Endpoint::new(Get, "/logs/{id}", Permission::LogsView, "A request", components.of::<LogDetails>()),
        Endpoint::new(
            Get,
            "/logs/{id}/cost",
            Permission::LogsView,
            "The cost of a request, line by line",
            components.of::<LogCost>(),
        ),
        Endpoint::new(
            Post,
            "/feedback",
            Permission::LogsWrite,
            "Adds feedback, also for requests that arrive later",
            saved.clone(),
        )
        .body(one_or_many(feedback.clone())),
        Endpoint::new(Put, "/feedback", Permission::LogsWrite, "Changes feedback", saved.clone())
            .body(feedback.clone()),
        Endpoint::new(Put, "/feedback/{id}", Permission::LogsWrite, "Changes feedback", saved).body(feedback),
    ]
}

fn exports(components: &mut Components) -> Vec<Endpoint> {
    let form = components.of::<ExportForm>();
    let saved = components.of::<ExportSaved>();
    let message = components.of::<ExportMessage>();
    let shape = components.of::<ExportShape>();
    let list = components.add("ExportList", envelope(shape.clone()));
    let permission = Permission::LogsExport;
    vec![
        Endpoint::new(Post, "/logs/exports", permission, "Creates a draft of an export", saved.clone())
            .body(form.clone()),
        Endpoint::new(Get, "/logs/exports", permission, "Exports, the newest first", list).query(EXPORTS),
        Endpoint::new(
            Get,
            "/logs/exports/restrictions",
            permission,
            "The fields that no export contains",
            components.of::<ExportRestrictions>(),
        ),
        Endpoint::new(Get, "/logs/exports/{id}", permission, "An export", shape),
        Endpoint::new(Put, "/logs/exports/{id}", permission, "Changes a draft", saved).body(form).or_conflict(),
        Endpoint::new(Post, "/logs/exports/{id}/start", permission, "Starts an export", message.clone())
            .or_conflict()
            .or_throttled(),
        Endpoint::new(Post, "/logs/exports/{id}/cancel", permission, "Cancels an export", message).or_conflict(),
        Endpoint::new(
            Get,
            "/logs/exports/{id}/download",
            permission,
            "A link to the file",
            components.of::<ExportLink>(),
        )
        .or_conflict(),
        Endpoint::new(Get, "/logs/exports/{id}/file", None, "The file, as JSON Lines", value(Type::String))
            .query(LINK)
            .media_type("application/jsonl"),
    ]
}

fn files(components: &mut Components) -> Vec<Endpoint> {
    let permission = Permission::LogsExport;
    let file: RefOr<Schema> = value(Type::String).into();
    vec![
        Endpoint::new(Get, "/export", permission, "Requests as a file, the oldest first", file.clone())
            .query(ROW_EXPORT)
            .media_type("application/jsonl")
            .or("text/csv", file.clone())
            .or("application/vnd.apache.parquet", file.clone())
            .or("application/gzip", file.clone())
            .or("application/zstd", file.clone()),
        Endpoint::new(Get, "/focus", permission, "Costs as a FOCUS file, its manifest, or both", manifest(components))
            .query(FOCUS)
            .or("text/csv", file.clone())
            .or("application/zip", file),
    ]
}

fn traces(components: &mut Components) -> Vec<Endpoint> {
    let view = trace_view(components);
    let permission = Permission::LogsView;
    vec![
        Endpoint::new(Get, "/traces/{id}", permission, "The requests of a trace as turns", view.clone()).query(RANGE),
        Endpoint::new(
            Get,
            "/sessions/{key}/{value}",
            permission,
            "The requests with a tag, such as session_id, as turns: those of the last 30 days without a range",
            view,
        )
        .query(RANGE),
    ]
}

fn others(components: &mut Components) -> Vec<Endpoint> {
    let workspace = components.of::<WorkspaceShape>();
    let workspaces = components.add("WorkspaceList", envelope(workspace));
    let key = components.of::<VirtualKeyShape>();
    let keys = components.add("VirtualKeyList", envelope(key));
    let form = components.of::<QueryForm>();
    vec![
        Endpoint::new(Get, "/admin/workspaces", Permission::KeysList, "Workspaces", workspaces).query(WORKSPACES),
        Endpoint::new(Get, "/virtual-keys", Permission::KeysList, "Virtual keys", keys).query(VIRTUAL_KEYS),
        Endpoint::new(Post, "/query", Permission::AnalyticsView, "Answers a query", answer(components))
            .or("text/csv", value(Type::String))
            .body(form.clone())
            .with_basis(),
        Endpoint::new(
            Post,
            "/query/explain",
            Permission::AnalyticsView,
            "How a query is answered",
            explanation(components),
        )
        .body(form),
        Endpoint::new(Get, "/openapi.json", None, "This document", ObjectBuilder::new()),
    ]
}
