//! Pages about requests and cost, mounted in your own router.
//!
//! [`router`] returns all pages. [`Access`](crate::analytics::api::Access) decides what each viewer sees:
//!
//! ```
//! use tower_tagging::{analytics::{Analytics, Grant}, dashboard, store::MemoryStore};
//!
//! let access = |_: &http::request::Parts| Ok(Grant::everything());
//! let pages = dashboard::router(Analytics::new(MemoryStore::new()), access);
//! let app: axum::Router = axum::Router::new().nest("/tagging", pages);
//! ```
//!
//! [`Dashboard`] has settings: the time zone of days, and the delivery whose counts are shown. All links are relative, so the
//! pages work below any prefix and behind any proxy. With `nest("/tagging", …)`, the first page is at `/tagging`; with
//! `nest("/tagging/", …)`, it is at `/tagging/`.
//!
//! # Pages
//!
//! | path | content | permission |
//! |---|---|---|
//! | `/` | cost, requests, tokens, errors, latency, and savings, compared with the previous period; cost over time by a key; the most expensive values and models; errors | `analytics.view` |
//! | `/explore` | a measure by two dimensions, as a chart and a ranking; `/explore.csv` has the table of the chart, and with `t=ranking` the ranking | `analytics.view` |
//! | `/requests`, `/requests/{id}` | single requests, and one of them: tags with their scopes, cost line by line, diagnostics | `logs.view` |
//! | `/sessions` | the sessions of a range: the values of a key such as `session_id`, or traces | `analytics.view` |
//! | `/traces/{id}`, `/sessions/{key}/{value}` | the requests of a trace, a session, or an agent run as a waterfall | `logs.view` |
//! | `/by/{key}` | the values of a key, such as all users | `analytics.view` |
//! | `/showback/{key}/{value}` | what a value of a key cost in a month, as a page to print | `analytics.view` |
//! | `/compare` | two values of a key, or two periods | `analytics.view` |
//! | `/keys` | the coverage and the values of each key; administrators activate and deactivate keys | `analytics.view` |
//! | `/health` | the counts of events, calls without a price, spoofing attempts, the verifications of sums, the log of changes | `analytics.view` |
//! | `/views` | the saved views of the caller, and those that others share | `analytics.view` or `logs.view` |
//! | `/access` | workspaces, API keys, and virtual keys, never a secret | `keys.list` |
//! | `/budgets` | what each group has used of a budget, with a projection and rejections, and rates; `/budgets.csv` has all groups | `analytics.view` |
//!
//! # URLs
//!
//! The URL of a page is its view. It has only values that differ from the default, in a fixed order:
//!
//! | parameter | meaning |
//! |---|---|
//! | `r` | the range: `1h`, `24h`, `7d`, `30d` (the default), `90d`, `mtd`, `last-month`, two days such as `2026-06-01..2026-06-30`, or two instants, of which the last one is excluded |
//! | `tz` | the IANA time zone of days |
//! | `f` | a condition, any number of times: `team:is:search`, `is-not`, `starts`, `has`, `has-not`. `team:is:` is the empty value, and `status:is:5xx` a class |
//!
//! A name in a condition is a field, such as `model`, or else the key of a tag. `metadata.model` is the tag.
//!
//! # Saved views
//!
//! A view is the address of a page under a name. It is saved with the form below the filters, and then in the menu of each
//! page. It is private, or shared with callers whose grant has the same conditions, such as those of the same workspace.
//! Its owner renames, shares, and deletes it; administrators of all requests do so with views that are shared.
//!
//! [`Access::caller_name`](crate::analytics::api::Access::caller_name) names the owner. [`SignIn`] and
//! [`RegistryAccess`](crate::analytics::api::RegistryAccess) use the name of the key. Callers without a name, such as those of
//! a closure, cannot save views.
//!
//! # Numbers
//!
//! All numbers are answers of [`Analytics`](crate::analytics::Analytics), so they agree with each other, with the API, and with
//! the requests. Amounts are in US dollars. The line below the filters reports how recent the data is, how many events were
//! lost, how many calls have no price or only a part of one, and when the sums were
//! [verified](crate::analytics::Analytics::verify_if_due). Unknown is a dash, never zero, and requests without a value are
//! *not set*. A period is compared with the previous one only if requests were recorded in all of it.
//!
//! # Security
//!
//! - The grant of the viewer limits every page, list, and suggestion. Every page needs one.
//! - Names of keys are shown only to viewers whose own requests have them. Errors of the store are in the log of the server,
//!   under a reference that the page shows.
//! - The Content Security Policy allows only the dashboard's own stylesheet and script. There are no inline styles or scripts.
//! - Values of tags are text everywhere: in pages, charts, links, and CSV.
//! - What changes something is a `POST` request, which must come from a page of the same origin. The
//!   [log of changes](crate::analytics::Analytics::changes) names its author.
//! - [`SignIn`] is a form for hosts without a login. Links contain no credentials. A proxy in front must forward the header
//!   `host`, or [`SignIn::public_url`] must be set.
//!
//! # Limits
//!
//! | what | bound |
//! |---|---|
//! | queries at a time | 2, for all viewers; equal queries in flight are executed once |
//! | time of a query | 5 seconds, of which reading rows may take 3 |
//! | groups of an answer, points of a series | 200, 1,000 |
//! | saved views of a caller | 100, with names of 80 characters and addresses of 4,096 bytes |
//! | conditions of a view | 20 |
//! | colors of a chart | 8, then *Other* |
//! | steps of a waterfall | 100; its table has 500 |
//! | time until a page begins | 30 seconds |

mod assets;
mod chart;
#[allow(clippy::module_inception, reason = "the file is named after its type")]
mod dashboard;
mod earlier;
mod format;
mod frame;
mod html;
mod key_changes;
mod load;
mod mount;
mod page_error;
mod page_path;
mod page_request;
mod pages;
mod posted_form;
mod series_chart;
mod sign_in;
mod state;
mod table;
mod verified;
mod view_links;
mod visible_key;

pub use self::{
    dashboard::{Dashboard, router},
    sign_in::SignIn,
};
use crate::view::{self, measures};
