//! Tools about requests and cost for agents, by the [Model Context Protocol](https://modelcontextprotocol.io).
//!
//! [`service`] returns an HTTP service that can be mounted anywhere. An agent such as Claude lists the tools, and calls them to
//! answer questions: what a feature cost, which model became slower, why a request was expensive.
//!
//! ```
//! use tower_tagging::{
//!     analytics::{Analytics, api::RegistryAccess},
//!     mcp,
//!     registry::Registry,
//!     store::MemoryStore,
//! };
//!
//! let access = RegistryAccess::new(Registry::from_toml("")?).admin_key("a long random text");
//! let tools = mcp::service(Analytics::new(MemoryStore::new()), access);
//! let app: axum::Router = axum::Router::new().nest_service("/tagging/mcp", tools);
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! # Connect an agent
//!
//! Clients of HTTP need the address and a header with an API key:
//!
//! ```json
//! {"mcpServers": {"llm-cost": {
//!   "type": "http", "url": "https://llm.example.com/tagging/mcp", "headers": {"x-portkey-api-key": "…"}}}}
//! ```
//!
//! The example `mcp_stdio` serves the same tools over standard input and output: of an SQLite file, which it only reads, or of
//! any API of this shape:
//!
//! ```json
//! {"mcpServers": {
//!   "llm-cost-file": {"command": "target/debug/examples/mcp_stdio", "args": ["events.db"]},
//!   "llm-cost-api": {"command": "target/debug/examples/mcp_stdio",
//!     "env": {"PORTKEY_BASE_URL": "https://api.portkey.ai/v1", "PORTKEY_API_KEY": "…"}}}}
//! ```
//!
//! # Tools
//!
//! | tool | answer | permission |
//! |---|---|---|
//! | `get_cost_analytics` | the cost over time, in cents | `analytics.view` |
//! | `get_request_analytics` | requests and errors over time | `analytics.view` |
//! | `get_token_analytics` | tokens over time | `analytics.view` |
//! | `get_user_analytics_summary` | requests and cost by user | `analytics.view` |
//! | `get_model_analytics_summary` | requests and cost by model | `analytics.view` |
//! | `list_workspaces`, `list_virtual_keys` | the workspaces and the virtual keys of a registry | `keys.list` |
//! | `list_log_exports` | the exports of requests of an API | `logs.export` |
//! | `query` | any measures by any dimensions, in US dollars | `analytics.view` |
//! | `trace` | the requests of a trace as turns, with retries and loops | `logs.view` |
//! | `explain_cost` | what a request cost, line by line | `logs.view` |
//! | `budgets` | budgets by group with a projection and rejections, and rates | `analytics.view` |
//!
//! The first eight have the names and parameters of the tools that Portkey users know. A range is `time_of_generation_min` and
//! `time_of_generation_max` in ISO 8601, or a word such as `last_7d` in the first of them. `last_7d` are today and the six days
//! before; `last_week` is the previous week of the calendar, from Monday to Sunday in the time zone. Filters are those of the
//! [HTTP API](crate::analytics::api), such as `ai_model`, `status_code`, and `metadata`.
//!
//! # Answers
//!
//! Each call becomes one or two requests to the [HTTP API](crate::analytics::api): in this process, or with [`Mcp::over_api`] to
//! any other API of this shape, such as a hosted one, but only over standard input and output. So numbers, grants, and errors are
//! those of the API. [`Mcp::from_api`] shares the export jobs of an API that is mounted as well.
//!
//! An answer has structured content that matches the schema of the tool, and a paragraph of text. In addition to the data, it has:
//!
//! - `basis`: the range that was summed, its grain, the share of LLM calls whose cost is unknown, the time of the latest request,
//!   and notes. What an API does not report is `null`. Calls that are priced in part count as priced; the tools `trace` and
//!   `explain_cost` say so.
//! - `dashboard_url`: the page of the [dashboard](crate#map) with the same range and filters. It is `null` if the host is another
//!   than this machine, and [`Mcp::public_url`] is not set.
//!
//! Errors are results with `isError` and a sentence for the model and its user.
//!
//! # Security
//!
//! - The [`Access`](crate::analytics::api::Access) decides what each caller sees, by the head of each request. Without a grant, the
//!   response is 401 or 403 with the body of the API, before anything else is read. A grant without the permission for a tool is a
//!   result that begins with `403`.
//! - The tools over another API use one key for all calls. So they are no HTTP service: [`McpOverApi`] has none.
//! - All tools only read, and say so in their annotations.
//! - Values of tags, names of users, and models come from clients, and may contain instructions for a model. They are only in the
//!   structured content, never in the text or in descriptions. Clients that show a model only the text see totals.
//! - Requests must name an allowed host, and pages of other origins are refused. [`Mcp::public_url`] sets both. Without it, they
//!   are those of this machine.
//! - Lists may be cached by the client that asked, not by others (`cacheScope: private`).
//!
//! # Protocol
//!
//! The service is stateless: no sessions, no streams, and JSON responses. It serves the revision 2026-07-28, and clients of the
//! older ones that begin with `initialize`. The protocol is implemented by [`rmcp`].
//!
//! # Limits
//!
//! | what | bound |
//! |---|---|
//! | a request body | 1 MiB |
//! | groups of an answer of `query` | 100, then a cursor |
//! | turns of an answer of `trace` | 500 |
//! | an answer of the API | 32 MiB |
//! | the time for an answer of another API | 60 seconds, or [`McpOverApi::timeout`] |

mod answer_basis;
mod api_client;
mod arguments;
mod caller_access;
mod dashboard_link;
mod definitions;
#[allow(clippy::module_inception, reason = "the file is named after its type")]
mod mcp;
mod mcp_over_api;
mod mcp_server;
mod mcp_service;
mod member;
mod range_words;
mod settings;
mod tool_answer;
mod tool_error;
mod tool_name;
mod tools;

pub use rmcp;

pub use self::{
    mcp::{Mcp, service},
    mcp_over_api::McpOverApi,
    mcp_server::McpServer,
    mcp_service::McpService,
};
