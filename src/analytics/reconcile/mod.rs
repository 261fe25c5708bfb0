//! Comparison of the recorded costs with the provider's bill.
//!
//! The caller fetches the provider's report, since only the caller has an admin key. [`openai_report`] and
//! [`anthropic_report`] read its pages, and [`next_page`] returns the cursor of the page that follows. [`our_lines`] sums the
//! stored requests in the same way, and [`reconcile`] compares them.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_tagging::{
//!     analytics::{
//!         Analytics, Field, Filter, Grant, RowQuery, TimeRange,
//!         reconcile::{openai_report, our_lines, reconcile},
//!     },
//!     store::MemoryStore,
//! };
//!
//! // A page of `GET /v1/organization/costs?group_by=line_item`.
//! let page = r#"{"object":"page","data":[{"object":"bucket","start_time":1780272000,"end_time":1780358400,"results":[
//!     {"object":"organization.costs.result","amount":{"value":0.06,"currency":"usd"},
//!      "line_item":"gpt-4o-2024-08-06, input","project_id":null}]}],"has_more":false,"next_page":null}"#;
//! let billed = openai_report(page)?;
//!
//! let analytics = Analytics::new(MemoryStore::new());
//! let day = TimeRange::parse("2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z", "UTC")?;
//! let query = RowQuery::new(day).filter(Filter::is(Field::Provider, "openai"));
//! let ours = our_lines(&analytics, &query, &Grant::everything()).await?;
//! let reconciliation = reconcile(ours, billed);
//! assert_eq!(reconciliation.missing_on_our_side.len(), 1);
//! assert_eq!(reconciliation.difference.to_string(), "-0.06");
//! # Ok(())
//! # }
//! ```

mod anthropic_report;
mod billed_line;
mod difference_reason;
mod explain;
mod line_key;
mod matched_line;
mod matching;
mod next_page;
mod openai_report;
mod our_line;
mod our_lines;
mod reconciliation;
mod report_error;
mod report_json;
mod report_tiers;
mod tier;

pub use self::{
    anthropic_report::anthropic_report, billed_line::BilledLine, difference_reason::DifferenceReason,
    line_key::LineKey, matched_line::MatchedLine, matching::reconcile, next_page::next_page,
    openai_report::openai_report, our_line::OurLine, our_lines::our_lines, reconciliation::Reconciliation,
    report_error::ReportError,
};
