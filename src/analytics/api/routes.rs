use axum::{
    Router,
    routing::{get, post, put},
};
use http::StatusCode;

use super::{
    admin_lists,
    api_error::ApiError,
    export_endpoints as exports, feedback, focus_file,
    graphs::{cache, errors, feedback as feedback_graphs, users, volume},
    groups, logs, openapi, queries, row_export,
    state::ApiState,
    traces,
};

/// Returns the endpoints, and those of other modules.
pub(crate) fn routes(others: Router<ApiState>) -> Router<ApiState> {
    Router::new()
        .merge(graphs())
        .merge(log_routes())
        .merge(others)
        .route("/analytics/summary/cache", get(cache::summary))
        .route("/analytics/groups/users", get(groups::users))
        .route("/analytics/groups/ai-models", get(groups::ai_models))
        .route("/analytics/groups/metadata/{key}", get(groups::metadata))
        .route("/analytics/groups/{group_by}", get(groups::by))
        .route("/admin/workspaces", get(admin_lists::workspaces))
        .route("/virtual-keys", get(admin_lists::virtual_keys))
        .route("/feedback", post(feedback::create).put(feedback::update))
        .route("/feedback/{id}", put(feedback::update_by_id))
        .route("/traces/{id}", get(traces::trace))
        .route("/sessions/{key}/{value}", get(traces::session))
        .route("/export", get(row_export::export))
        .route("/focus", get(focus_file::focus))
        .route("/query", post(queries::query))
        .route("/query/explain", post(queries::explain))
        .route("/openapi.json", get(openapi::document))
        .fallback(|| async { ApiError::not_found("endpoint not found") })
        .method_not_allowed_fallback(|| async { ApiError::of_status(StatusCode::METHOD_NOT_ALLOWED) })
}

/// The graphs. Portkey's SDK for Node has other paths for some of them.
fn graphs() -> Router<ApiState> {
    let paths = Router::new()
        .route("/requests", get(volume::requests))
        .route("/cost", get(volume::cost))
        .route("/tokens", get(volume::tokens))
        .route("/latency", get(volume::latency))
        .route("/users", get(users::users))
        .route("/users/requests", get(users::requests))
        .route("/users-requests", get(users::requests))
        .route("/errors", get(errors::errors))
        .route("/errors/rate", get(errors::rate))
        .route("/errors-rate", get(errors::rate))
        .route("/errors/stacks", get(errors::stacks))
        .route("/errors-stack", get(errors::stacks))
        .route("/errors/status-codes", get(errors::status_codes))
        .route("/errors-status-code", get(errors::status_codes))
        .route("/requests/rescued", get(errors::rescued))
        .route("/requests-rescued", get(errors::rescued))
        .route("/cache/hit-rate", get(cache::hit_rate))
        .route("/cache-hit-rate", get(cache::hit_rate))
        .route("/cache/latency", get(cache::latency))
        .route("/cache-latency", get(cache::latency))
        .route("/feedbacks", get(feedback_graphs::feedbacks))
        .route("/feedbacks/scores", get(feedback_graphs::scores))
        .route("/feedbacks/score", get(feedback_graphs::scores))
        .route("/feedbacks/weighted", get(feedback_graphs::weighted))
        .route("/feedbacks/ai-models", get(feedback_graphs::ai_models));
    Router::new().nest("/analytics/graphs", paths)
}

fn log_routes() -> Router<ApiState> {
    Router::new()
        .route("/logs", post(logs::create))
        .route("/logs/{id}", get(logs::read))
        .route("/logs/{id}/cost", get(logs::cost))
        .route("/logs/groups/{group_by}", get(groups::of_logs))
        .route("/logs/exports", post(exports::create).get(exports::list))
        .route("/logs/exports/restrictions", get(exports::restrictions))
        .route("/logs/exports/{id}", get(exports::get).put(exports::update))
        .route("/logs/exports/{id}/start", post(exports::start))
        .route("/logs/exports/{id}/cancel", post(exports::cancel))
        .route("/logs/exports/{id}/download", get(exports::download))
        .route("/logs/exports/{id}/file", get(exports::file))
}
