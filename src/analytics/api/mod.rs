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
//! | `GET /logs/{id}`, `GET /logs/groups/{groupBy}` | `logs.view` |
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
//! The parameters of `GET /export` are the common filters, `format`, `compression`, `columns`, `keys`, `resume`, and
//! `summary`. Those of `GET /focus` are the common filters, `account`, `tags`, `manifest`, and `archive`. `GET /openapi.json`
//! describes them.
//!
//! # Values
//!
//! - Amounts of money are in cents in Portkey's endpoints, and in US dollars in `POST /query`, traces, and files. Rates range
//!   from 0 to 100. Durations are in milliseconds.
//! - Unknown values are `null`, never zero: the average of no requests, or the cost of a model without a price. Sums add what
//!   is known; the member `basis` of the answers of `POST /query` has the share that is unknown.
//! - Days, weeks, and months begin at midnight in the time zone that the request names, or else that of [`Api::zone`].
//! - `trace_id` is the client's own trace id if it sent one. A filter by `trace_id` matches either id.
//! - Times without requests are part of each series.
//! - Without a range, `GET /traces/{id}` covers all times, and `GET /sessions/{key}/{value}` the last 30 days.
//! - Groups of Portkey's endpoints leave out the requests without a value. `POST /query` has a group `null` for them.
//! - This crate has no response cache, retries, fallbacks, configs, or prompts. Their graphs and columns have the
//!   value 0, filters by them match nothing, and groups by them are empty. The caches of providers for prompts are measures
//!   of `POST /query`.
//! - `POST /query` answers with CSV if `accept` is `text/csv`.
//! - Unknown parameters are errors. Endpoints ignore the paging and grouping parameters that do not apply to them.
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
//! | 409 | `AB07` | the state of an export does not allow it |
//! | 429 | `AB06` | there are too many exports |
//! | 500, 504 | `AB04` | the server failed, or took too long |
//!
//! # Limits
//!
//! Request bodies have at most 8 MiB, and responses begin within 30 seconds; see [`Api`]. A page has at most 1,000 groups, and
//! an export job 50,000 rows. Export jobs live in memory: they are forgotten when the process ends, and belong to one
//! replica. Their files are read from the store while they are downloaded.
//!
//! `GET /export` has no limit of rows. Its file is complete if the trailers of an [`ExportBody`](super::ExportBody)
//! arrive, or the last line with `summary=true`. A file of `GET /focus` has at most 366 days. With `archive=true`, the file
//! and its manifest are made from one read of the requests. `manifest=true` reads them again: its `sha256` is that of the file
//! unless requests arrived in between. If the body of a file ends early, `manifest=true` returns the reason.

mod access;
mod admin_lists;
mod api;
mod api_error;
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
mod list;
mod log_entry;
mod log_shape;
mod logs;
mod one_or_many;
mod openapi;
mod paging;
mod parameters;
mod queries;
mod query_form;
mod registry_access;
mod replay;
mod restrictions;
mod routes;
mod row_export;
mod selection;
mod signer;
mod state;
mod traces;
mod view;

pub use self::{
    access::Access,
    api::{Api, router},
    denied::Denied,
    registry_access::RegistryAccess,
};
