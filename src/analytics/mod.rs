//! Answers about requests and cost from the rows of a store, limited to the rows that the caller may see.
//!
//! [`Analytics`] wraps a store. A [`Query`] is a value: a range, conditions, groups, and measures. A [`Grant`] decides which
//! rows it covers, and there is no way to run a query without one.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_tagging::{
//!     EventLayer,
//!     analytics::{Analytics, Filter, Grant, Measure, Query, TimeRange},
//!     store::{Dimension, MemoryStore},
//! };
//!
//! let store = MemoryStore::new();
//! let layer = EventLayer::new(store.sink());
//! // … serve requests through the layer, then:
//!
//! let analytics = Analytics::new(store);
//! let june = TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "Europe/Berlin")?;
//! let by_feature = Query::new(june)
//!     .group_by(Dimension::tag("feature"))
//!     .measure(Measure::Cost)
//!     .measure(Measure::Requests);
//! let acme = Grant::only([Filter::is(Dimension::tag("tenant_id"), "acme")]);
//! let answer = analytics.run(&by_feature, &acme).await?;
//! for group in &answer.groups {
//!     println!("{:?}: {} requests", group.values, group.cell.totals.requests);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Queries
//!
//! A [`Query`] returns sums. Its parts are:
//!
//! | part | meaning |
//! |---|---|
//! | [`TimeRange`] | the first instant, the instant after the last one, and the time zone of calendar days |
//! | [`Filter`] | a condition on a tag, a field, a number, or a trace id. All conditions must hold |
//! | [`Dimension`] | groups by the values of a [`Field`] or of a tag, at most three |
//! | [`Bucket`] | a series by minute, quarter hour, hour, day, week, or month |
//! | [`Measure`] | a value to compute, such as the cost, a rate, a quantile of the latency, or the coverage of a tag |
//! | [`Order`], limit, and cursor | a page of the groups |
//!
//! A [`RowQuery`] returns single requests, page by page. A [`TraceView`] shows the requests of a trace, a session, or an agent
//! run in order, with retries and loops.
//!
//! # Grants
//!
//! Each method that reads requests takes a [`Grant`], whose conditions are added to those of the query. Use conditions on
//! trusted values: the workspace, the API key, or tags of trusted scopes. [`Grant::everything`] is for operators.
//!
//! A grant also has [permissions](Grant#permissions): for sums, for single requests, for exports, and for writing. Methods
//! without a grant, such as [`Analytics::maintain`], are for the operator of the store.
//!
//! # Answers
//!
//! An [`Answer`] has the total over all requests that meet the conditions, and the groups of the page. With a bucket, each
//! has a series. Groups and total are sums of the same data, so the groups of all pages add up to the total.
//!
//! Unknown is `None`, never zero: the rate of no requests, or the average of unknown costs. Sums add what is known. The
//! [`Basis`] of the answer reports how much that is, and what was read:
//!
//! | field | meaning |
//! |---|---|
//! | [`data_up_to`](Basis::data_up_to) | the time of the latest stored request, in minutes unless the grant covers everything |
//! | [`from`](Basis::from), [`to`](Basis::to), [`grain`](Basis::grain) | the range that was summed |
//! | [`is_exact`](Basis::is_exact) | `true` if this is the range of the query, and all feedback was read |
//! | [`unpriced_share`](Basis::unpriced_share) | the share of LLM calls whose cost is unknown |
//! | [`rows_read`](Basis::rows_read) | the rows that were read one by one |
//! | [`notes`](Basis::notes) | differences from what the query asked for, as sentences |
//!
//! # Sums
//!
//! SQLite and Postgres keep sums, so that the time of an answer depends on the number of groups, not on the number of requests.
//! Each row is stored and summed in the same transaction. Sums exist for all requests, for most fields, for each active key,
//! and for active pairs, each by workspace. Their buckets are quarter hours (only those of all requests), hours, days, and
//! blocks of 8 and 64 days.
//!
//! A query is answered from sums if they distinguish all dimensions of its groups, its conditions, and its grant. The ends of
//! its range that no bucket covers are read from rows. If too many rows would be read, the range is extended to whole buckets,
//! and [`Basis::is_exact`] is `false`. All other queries read rows, up to the [limits](Analytics::row_limits); these are queries
//! by several dimensions without a pair, by keys that are not active, by numbers or trace ids, and with measures of feedback.
//! [`Analytics::explain`] returns what a query would read.
//!
//! Days with many values of a dimension need many sums. If a day has more than 500 values, sums of this dimension are kept
//! by day, and quantiles by it are `None`. If it has more than 100,000 values, no sums are kept, and queries read rows.
//!
//! # Keys and pairs
//!
//! New stores have some [active keys](crate::store#keys). [`Analytics::activate_key`] adds one, and
//! [`Analytics::activate_pair`] keeps sums of pairs of values, such as the tenant of a grant and the feature of a group. Both
//! include the stored requests. [`AnalyticsSettings`] reads keys, pairs, and retention from a configuration file, and
//! [`Analytics::apply`] puts the keys and pairs into effect.
//!
//! # Maintenance and retention
//!
//! Call [`Analytics::maintain`] about once per hour. It folds past buckets into coarser ones, and deletes what is older than
//! the [`Retention`]:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::{Duration, SystemTime};
//! use tower_tagging::{
//!     analytics::{Analytics, Retention},
//!     store::{Dimension, Field, MemoryStore},
//! };
//!
//! const DAY: Duration = Duration::from_secs(24 * 60 * 60);
//!
//! let analytics = Analytics::new(MemoryStore::new());
//! analytics.activate_key("tenant_id").await?;
//! analytics.activate_pair(Dimension::tag("tenant_id"), Field::Model.into()).await?;
//! analytics.maintain(SystemTime::now(), Retention::forever().rows(90 * DAY).hours(400 * DAY)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Sums outlive their rows. After rows are deleted, queries by active keys and pairs still cover the whole time. Other queries
//! begin at the first row, and a note reports it. Keep rows for longer than a [delivery](Retention) may be delayed, because an
//! event that is delivered again after its row was deleted is counted twice.
//!
//! # Verification
//!
//! Sums are integers, and exact. [`Analytics::verify`] compares them with the rows and returns the differences, and
//! [`Analytics::rebuild`] computes them again. Both need the rows of the range. [`Analytics::verify_if_due`] verifies a day,
//! once a day, and [`Analytics::verifications`] returns the results.
//!
//! # Changes
//!
//! Stores keep a log of what was changed, and by whom: keys and pairs that were activated, sums that were rebuilt, requests
//! that were deleted, views that were shared, and exports. [`Analytics::authored_by`] names the author, and
//! [`Analytics::changes`] returns the log. Hosts add their own changes with [`Analytics::record_change`].
//!
//! # Saved views
//!
//! A [`SavedView`] is a page of the dashboard with its filters, under a name. It is private, or shared with callers whose grant
//! has the same conditions. [`Analytics::save_view`] saves one for the author of the handle.
//!
//! # Exports, bills, and prices
//!
//! - [`Answer::to_csv`] returns an answer as CSV.
//! - [`Export`] streams single requests as JSON lines, CSV, or (feature `parquet`) Parquet, with constant memory.
//! - [`focus`] writes cost rows in the FOCUS format.
//! - [`reconcile`](mod@reconcile) compares the recorded cost with the bills of OpenAI and Anthropic.
//! - [`reprice`](mod@reprice) computes what stored requests would have cost by other prices.
//! - [`api`] serves queries over HTTP, and has the endpoints of Portkey's analytics, logs, feedback, and exports.
//!
//! # Limits
//!
//! | what | bound |
//! |---|---|
//! | groups of an answer | [`Query::MAX_LIMIT`], then a cursor |
//! | dimensions of a query | [`Query::MAX_GROUP_BY`] |
//! | points of a series | 2,000 |
//! | sums of a query | 500,000, then [`QueryError::TooLarge`] |
//! | rows that a query reads one by one | [`Analytics::DEFAULT_ROW_LIMIT`] or [`Analytics::DEFAULT_TIME_LIMIT`], then the answer begins later |
//! | requests of a page | [`RowQuery::MAX_LIMIT`] |
//! | feedback that counts | the latest 100,000 entries, then [`Basis::is_exact`] is `false` |

mod amount;
mod analytics_settings;
mod analytics_source;
mod analytics_store;
mod answer;
pub mod api;
mod basis;
mod cell;
mod changes;
mod error;
mod execute;
mod export;
mod feedback_queries;
mod feedback_scores;
mod feedback_totals;
pub mod focus;
mod grant;
mod group;
mod jobs;
#[cfg(feature = "limit")]
mod limit_jobs;
#[cfg(feature = "limit")]
mod limit_records;
mod maintenance;
mod page;
mod query;
pub mod reconcile;
mod record_jobs;
pub mod reprice;
mod retention;
mod row_cursor;
mod row_pages;
mod row_usage;
mod saved_views;
mod trace_view;
mod verifications;

#[cfg(feature = "dashboard")]
pub(crate) use self::export::csv_lines;
#[cfg(feature = "limit")]
pub(crate) use self::row_pages::RowPages;
pub use self::{
    amount::Amount,
    analytics_settings::AnalyticsSettings,
    analytics_source::AnalyticsSource,
    analytics_store::Analytics,
    answer::Answer,
    basis::{Basis, Grain},
    cell::Cell,
    error::QueryError,
    execute::Explanation,
    export::{Compression, Export, ExportBody, ExportFormat, ExportStream, ExportSummary, ExportToken},
    feedback_scores::FeedbackScores,
    feedback_totals::FeedbackTotals,
    grant::Grant,
    group::Group,
    page::Page,
    query::{Bucket, Measure, Order, Query, RowQuery, TimeRange},
    retention::Retention,
    trace_view::{StepLoop, TraceSummary, TraceView, Turn},
};
#[cfg(feature = "dashboard")]
pub(crate) use crate::{row::EventRow, usage::CostLine};
pub use crate::{
    row::Filter,
    store::{Change, Dimension, Field, KeyInfo, Number, SavedView, Totals, Verification},
};
pub use jiff;
