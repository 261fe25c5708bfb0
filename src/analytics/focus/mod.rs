//! Export of cost rows in the format of [FOCUS](https://focus.finops.org/), the FinOps Open Cost and Usage Specification.
//!
//! A [`FocusExport`] writes one CSV row per UTC day, provider, model, kind of token, workspace, and values of the chosen
//! tags. Usage without a price is never a row with a cost of zero. It is listed in the [`FocusManifest`], with its
//! quantities.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_tagging::{
//!     analytics::{Analytics, Grant, RowQuery, TimeRange, focus::FocusExport},
//!     store::MemoryStore,
//! };
//!
//! let analytics = Analytics::new(MemoryStore::new());
//! let june = RowQuery::new(TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "UTC")?);
//! let export = FocusExport::new("acme-llm").tag("team").tag("feature");
//! let mut csv = Vec::new();
//! let manifest = export.write(&analytics, &june, &Grant::everything(), &mut csv).await?;
//! assert_eq!(manifest.rows, 0);
//! assert!(csv.starts_with(b"AvailabilityZone,BilledCost,"));
//! # Ok(())
//! # }
//! ```
//!
//! All four costs of a row are the cost that was recorded, since list prices that differ from it are unknown. A unit price
//! is the average over the row.

mod focus_archive;
mod focus_columns;
mod focus_error;
mod focus_export;
mod focus_file;
mod focus_group;
mod focus_manifest;
mod focus_meter;
mod focus_record;
mod focus_settings;
mod focus_version;
mod unpriced_usage;

pub(crate) use self::{focus_archive::FocusArchive, focus_file::FocusFile};
pub use self::{
    focus_error::FocusError, focus_export::FocusExport, focus_manifest::FocusManifest, focus_version::FocusVersion,
    unpriced_usage::UnpricedUsage,
};
