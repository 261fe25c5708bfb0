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

mod amount;
mod analytics_settings;
mod analytics_source;
mod analytics_store;
mod answer;
pub mod api;
mod basis;
mod cell;
mod error;
mod execute;
mod export;
mod feedback_queries;
mod feedback_totals;
pub mod focus;
mod grant;
mod group;
mod jobs;
mod page;
mod query;
pub mod reconcile;
pub mod reprice;
mod retention;
mod row_cursor;
mod row_pages;
mod row_usage;
mod trace_view;

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
    feedback_totals::FeedbackTotals,
    grant::Grant,
    group::Group,
    page::Page,
    query::{Bucket, Measure, Order, Query, RowQuery, TimeRange},
    retention::Retention,
    trace_view::{StepLoop, TraceSummary, TraceView, Turn},
};
pub use crate::{
    row::Filter,
    store::{Dimension, Field, Number, Totals},
};
pub use jiff;
