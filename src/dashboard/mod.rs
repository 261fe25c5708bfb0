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

mod assets;
mod chart;
#[allow(clippy::module_inception, reason = "the file is named after its type")]
mod dashboard;
mod format;
mod frame;
mod html;
mod measures;
mod mount;
mod page_error;
mod page_request;
mod pages;
mod series_chart;
mod sign_in;
mod state;
mod table;
mod view;

pub use self::{
    dashboard::{Dashboard, router},
    sign_in::SignIn,
};
