//! The HTTP API of [`Analytics`](super::Analytics): the endpoints of Portkey's API for analytics, logs, exports, feedback,
//! and lists, and those of this crate for queries, traces, and files.
//!
//! [`router`] returns an axum router that can be mounted anywhere. [`Access`] decides what each caller sees;
//! [`RegistryAccess`] is access by API keys.
//!
//! ```
//! use tower_tagging::{
//!     analytics::{Analytics, api::{self, RegistryAccess}},
//!     registry::Registry,
//!     store::MemoryStore,
//! };
//!
//! let access = RegistryAccess::new(Registry::from_toml("")?).admin_key("a long random text");
//! let api = api::router(Analytics::new(MemoryStore::new()), access);
//! let app: axum::Router = axum::Router::new().nest("/tagging/v1", api);
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! # Endpoints
//!
//! | endpoint | permission |
//! |---|---|
//! | `GET /analytics/graphs/…`, `GET /analytics/summary/cache`, `GET /analytics/groups/…` | `analytics.view` |
//! | `POST /query`, `POST /query/explain` | `analytics.view` |
//! | `GET /logs/{id}`, `GET /logs/{id}/cost`, `GET /logs/groups/{groupBy}` | `logs.view` |
//! | `POST /logs`, `POST /feedback`, `PUT /feedback`, `PUT /feedback/{id}` | `logs.write` |
//! | `POST` and `GET /logs/exports`, `GET` and `PUT /logs/exports/{id}`, and `start`, `cancel`, `download` below it | `logs.export` |
//! | `GET /logs/exports/restrictions` | `logs.export` |
//! | `GET /export`: requests as a file | `logs.export` |
//! | `GET /focus`: the costs of whole UTC days as a FOCUS file | `logs.export` |
//! | `GET /traces/{id}`, `GET /sessions/{key}/{value}`: a [`TraceView`](super::TraceView) | `logs.view` |
//! | `GET /admin/workspaces`, `GET /virtual-keys` | `keys.list` |
//! | `GET /openapi.json` | none: the OpenAPI 3.1 document of all endpoints |
//!
//! The permission `admin` includes all others. A key of a workspace sees its own workspace only.
//!
//! `GET /openapi.json` describes the parameters of each endpoint. Other parameters are errors, which list the valid ones.
//!
//! # Values
//!
//! - Amounts of money are in cents in Portkey's endpoints, and in US dollars in `POST /query`, traces, and files. Rates range
//!   from 0 to 100. Durations are in milliseconds.
//! - Unknown values are `null`, never zero: the average of no requests, or the cost of a model without a price. Sums add what
//!   is known, and a cost is `null` if there are LLM calls and no cost of them is known. The measure
//!   `unpriced_requests` of `POST /query` counts the calls without a cost.
//! - Answers with numbers have the headers `x-tagging-exact`, `x-tagging-grain`, `x-tagging-unpriced-share` (the share of LLM
//!   calls whose cost is unknown), and `x-tagging-data-up-to`, the time of the latest stored request, in minutes for callers
//!   that do not see everything.
//!   If `x-tagging-exact` is `false`, an envelope of Portkey's API has the additional member `basis`, which answers of
//!   `POST /query` always have: the range that was summed, and the reason. See [`Basis`](super::Basis).
//! - Days, weeks, and months begin at midnight in the time zone that the request names, or else that of [`Api::zone`].
//! - `trace_id` is the client's own trace id if it sent one. A filter by `trace_id` matches either id. A W3C trace id may be
//!   uppercase, and may have dashes.
//! - Times without requests are part of each series.
//! - Without a range, `GET /traces/{id}` covers all times, and `GET /sessions/{key}/{value}` the last 30 days. Sessions by a
//!   key that is not active are searched from the latest request on, for a limited time. The answer reports the time from
//!   which it covers all requests.
//! - Groups of Portkey's endpoints leave out the requests without a value. `POST /query` has a group `null` for them.
//! - This crate has no response cache, retries, fallbacks, configs, or prompts. Their graphs and columns have the
//!   value 0, filters by them match nothing, and groups by them are empty. The caches of providers for prompts are measures
//!   of `POST /query`.
//! - `POST /query` answers with CSV if the client prefers `text/csv` to JSON. Without a limit, the file has all groups: they
//!   are read page by page, so a group whose place in the order changes meanwhile may be missing or repeated; ordering by
//!   `values` avoids that. A file has at most 100,000 groups, or 10,000,000 groups times buckets. If a later page covers
//!   another range than the first, the body ends early. With a limit, the header `x-tagging-next` has the cursor of the next groups.
//!
//! # Logs and feedback
//!
//! `POST /logs` stores requests of other systems. They are read as if they had been sent through the layers with the key of
//! the caller: its trusted tags win over those of the log, its claims apply, and a log that its rules reject is an error. All
//! logs of a request are stored, or none.
//!
//! - A log may have an `id`, the sender's own. A log with the `id` of a stored one is ignored, also if it differs, and the
//!   answer has the `logIds` of the first time. So a request without an answer can be sent again. The header
//!   `idempotency-key` does the same for logs without an `id`, by their position. Both belong to the workspace of the key:
//!   the same `id` of another workspace is another log. Only two replicas that receive a log at the same time, over Postgres
//!   with monthly partitions, can store it twice.
//! - `created_at` is at most 400 days ago, or as [`Api::max_log_age`] allows. The request must not end in the future, except
//!   for a difference of five minutes between clocks.
//! - A log without `response_time` is a request of 0 ms.
//!
//! Feedback may arrive before its request does, so `POST /feedback` accepts any trace id. It counts once
//! the store has a request with the trace id, in the workspace of the key. Feedback for a trace that never arrives counts
//! nowhere.
//!
//! # Errors
//!
//! The body of an error is `{"success": false, "data": {"message": "…", "errorCode": "AB01"}}`.
//!
//! | status | code | when |
//! |---|---|---|
//! | 400 | `AB01` | a parameter or the body is missing or not valid |
//! | 401 | `AB05` | there is no valid key |
//! | 403 | `AB03` | the key does not have the permission |
//! | 404 | `AB02` | the endpoint or the object does not exist, or the caller may not see it |
//! | 405 | `AB01` | the endpoint does not have the method |
//! | 409 | `AB07` | the state of an export does not allow it |
//! | 413 | `AB01` | the body is too large |
//! | 429 | `AB06` | there are too many exports |
//! | 500, 504 | `AB04` | the server failed, or took too long |
//!
//! The HTTP server itself answers URLs that are too long with 414, without a body.
//!
//! # Limits
//!
//! Request bodies have at most 8 MiB, and responses begin within 30 seconds; see [`Api`]. A page has at most 1,000 groups, and
//! an export job 50,000 rows. Export jobs live in memory: they are forgotten when the process ends, and belong to one
//! replica. The filters of a job have at most 16 KiB.
//!
//! There are at most 1,000 export jobs. A new one replaces the oldest one of the grant with the most jobs. At most 8 are in
//! progress, 4 of them of the same grant at a time.
//!
//! A job has the requests that had ended a minute before it was started, the oldest first. Its file is read from the store
//! while it is downloaded, so it lacks requests that were deleted since then, and has those that were delivered later than a
//! minute. A link to a file works without a key for ten minutes, and ends with the key that created it; see
//! [`Access::recheck`]. A file has at most 16 links: a new one replaces the oldest.
//!
//! `GET /export` has no limit of rows. This file and that of a job are complete if the trailers of an
//! [`ExportBody`](super::ExportBody) arrive, or the last line with `summary=true`. A file of `GET /focus` has at most 366 days. With `archive=true`, the file
//! and its manifest are made from one read of the requests. `manifest=true` reads them again: its `sha256` is that of the file
//! unless requests arrived in between. If the body of a file ends early, `manifest=true` returns the reason.

mod accept;
mod access;
mod admin_lists;
mod api;
mod api_error;
#[cfg(feature = "limit")]
mod api_extension;
mod caller;
mod cents;
mod denied;
mod export_endpoints;
mod export_fields;
mod export_file;
mod export_form;
mod export_job;
mod exports;
mod feedback;
mod focus_file;
mod graphs;
mod group_columns;
mod groups;
mod json_body;
mod json_problem;
mod key_limits;
mod links;
mod list;
mod log_cost;
mod log_entry;
mod log_id;
mod log_shape;
mod log_time;
mod logs;
mod names;
mod one_or_many;
mod openapi;
mod paging;
mod parameter;
mod parameters;
mod queries;
mod query_form;
mod registry_access;
mod replay;
mod restrictions;
mod routes;
mod row_export;
mod selection;
mod state;
mod traces;
mod view;
mod with_basis;

#[cfg(feature = "limit")]
pub use self::api_extension::ApiExtension;
#[cfg(feature = "dashboard")]
pub(crate) use self::registry_access::KeyHolder;
pub use self::{
    access::Access,
    api::{Api, router},
    denied::Denied,
    registry_access::RegistryAccess,
};
#[cfg(any(feature = "limit", feature = "mcp"))]
pub(crate) use self::{
    api_error::ApiError,
    parameter::{Accepted, LIMITS},
};
#[cfg(feature = "limit")]
pub(crate) use self::{
    caller::Caller,
    json_body::JsonBody,
    json_problem::json_problem,
    key_limits::{KeyLimits, LimitsOfKey},
    list::List,
    log_shape::time_text,
    openapi::{Components, Endpoint, envelope, value},
    paging::Paging,
    parameter::{NONE, PAGE, Parameter, WORKSPACE_ID, optional},
    parameters::Parameters,
    state::ApiState,
};
#[cfg(feature = "mcp")]
pub(crate) use self::{
    openapi::inlined_schema,
    parameter::{EXPORTS, FROM, GROUPS, SERIES, TO, VIRTUAL_KEYS, WORKSPACES, find, names},
    with_basis::{DATA_UP_TO, EXACT, GRAIN, UNPRICED_SHARE},
};
