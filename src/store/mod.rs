//! Stores: events as rows of a table, in memory, in SQLite, or in Postgres.
//!
//! A store creates its tables, provides a sink that writes to them, and reads events back as [`EventRow`]s. `Analytics`
//! (feature `analytics`) answers questions about them. Everything else is SQL.
//!
//! | store | feature | use it for |
//! |---|---|---|
//! | [`MemoryStore`] | | tests |
//! | `SqliteStore` | `sqlite` | one process without a database server |
//! | `PostgresStore` | `postgres` | any number of replicas, and a database that others query too |
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::{Duration, SystemTime};
//! use tower_tagging::{EventLayer, store::SqliteStore};
//!
//! # let folder = std::env::temp_dir().join(format!("tower-tagging-store-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let store = SqliteStore::open(folder.join("events.db"))?;
//! store.migrate()?;
//! let layer = EventLayer::new(store.sink());
//! // … serve requests through the layer, and once a day:
//!
//! let days = Duration::from_secs(90 * 24 * 60 * 60);
//! let deleted = store.delete_before(SystemTime::now() - days)?;
//! # assert_eq!(deleted, 0);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! Call `migrate()` when the service starts. Until the tables exist, writes fail with *the table tagging_events is missing
//! or of an older version: run migrate()*, and the sink holds the events and retries.
//!
//! # Tables
//!
//! The table `tagging_events` has one row per event, whether or not the request was an LLM call. The id of the event is the
//! primary key, so a second delivery changes nothing. Unknown values are `NULL`, never zero.
//!
//! The view `llm_requests` has one row per LLM call, like the table of this name in LLM gateways. It has all columns of
//! `tagging_events` and the aliases `cached_tokens`, `cache_creation_tokens`, and `cache_creation_1h_tokens`. Its
//! `total_cost` is 0 where the cost is unknown, so that queries rank by cost without further conditions. `cost_status`
//! shows which costs are known. Creating the tables fails if the database has another table with this name.
//!
//! The other tables are:
//!
//! | table | content |
//! |---|---|
//! | `tagging_keys` | the keys of tags, with their statistics |
//! | `tagging_rollups` | sums of requests by time and value, which writers update in the transaction of the events |
//! | `tagging_subjects` | the dimensions and pairs that have sums, and the times that these cover |
//! | `tagging_state` | the time before which rows were deleted |
//! | `tagging_feedback` | feedback on traces |
//! | `tagging_views` | pages that callers saved under a name |
//! | `tagging_changes` | the log of changes and their authors, the newest 10,000 of each workspace |
//! | `tagging_verifications` | when sums were compared with rows, and the result |
//! | `tagging_limit_rules` | limits that were created through the API |
//! | `tagging_limit_credits` | amounts that were added to the limit of a group in a window. They are never deleted |
//! | `tagging_alerts` | alerts, and the state of their delivery |
//! | `tagging_migrations` | the version of the tables |
//!
//! `SqliteStore::without_rollups` and `PostgresStore::without_rollups` create tables without sums. Writing is then faster, and
//! `Analytics` reads rows. The sums are not meant for SQL of your own: query `tagging_events` or `llm_requests`.
//!
//! [`SCHEMA`] describes the columns in code:
//!
#![doc = include_str!("../docs/columns.md")]
//!
//! Every value fits both databases. Numbers that a column cannot hold become the largest one that it can, of each kind of usage at most 10¹² are stored, times outside
//! of the years 1970 to 9999 become the nearest one within, a cost is at most 1,000,000 US dollars, and NUL, which Postgres
//! cannot store, becomes `U+FFFD`.
//!
//! # Keys
//!
//! A new metadata key needs no change of the tables: it is in `raw_metadata` at once. To search a large table by its values,
//! activate it. `activate_key` fills `indexed_metadata`, also in stored rows, creates an index for it, and keeps sums by its
//! values. `deactivate_key` reverses this. In new stores, the keys `_user`, `team`, `feature`, `tenant_id`, `environment`,
//! `user-id`, `User-Id`, `Feature`, and `Team` are active. `active_keys` sets others before `migrate()` creates the tables.
//!
//! In Postgres, search with `WHERE indexed_metadata @> '{"Feature": "search"}'`, and in SQLite with
//! `WHERE indexed_metadata->>'Feature' = 'search'`.
//!
//! `list_keys` returns for each key the number of requests that had it, the time of the latest one, and the approximate
//! number of its values. Writers count the rows that they inserted in memory, and add the counts to the table `tagging_keys`
//! at most once per second and when they end. A killed process loses the counts that it had not added. At most 4,096 keys
//! are counted at a time, and at most 10,000 keys with up to 1,024 bytes in total. Requests with other keys are stored as
//! well, but their keys are not listed.
//!
//! # Versions
//!
//! The table `tagging_migrations` holds the version of the tables, which is 1. The version also covers the sketches in
//! `tagging_keys`, from which the number of values is estimated: their layout and their hash (64-bit FNV-1a with the
//! finalizer of MurmurHash3).
//!
//! # Errors
//!
//! Writers classify each error by its [kind](crate::sink::WriteErrorKind). Errors that an operator can solve are retryable:
//! the server is unavailable, the disk is full, or the tables are missing. Batches with an event that the database refuses
//! to store are rejected. Rows are also rejected if the type of a column was changed; see `PostgresWriter`.
//!
//! # Queries
//!
//! See [`guide::queries`](crate::guide::queries) for SQL that reports usage and cost.

mod active_keys;
#[cfg(feature = "limit")]
mod alert_record;
#[cfg(feature = "analytics")]
mod change;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod conditions;
#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
mod feedback;
mod key_counts;
mod key_info;
mod key_name;
#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
#[cfg_attr(not(feature = "analytics"), allow(dead_code, reason = "without analytics, feedback is not read"))]
mod latest_feedback;
#[cfg(feature = "limit")]
mod limit_credit_record;
#[cfg(feature = "limit")]
mod limit_rule_record;
mod memory_store;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "analytics")]
pub(crate) mod records;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod records_sql;
#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
#[cfg_attr(
    not(feature = "analytics"),
    allow(dead_code, unused_imports, reason = "without analytics, sums are written but not read")
)]
pub(crate) mod rollup;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rollup_sql;
#[cfg(feature = "analytics")]
mod saved_view;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod schema_sql;
mod sketch;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store_error;
#[cfg(feature = "analytics")]
mod verification;

#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
pub(crate) use self::latest_feedback::LatestFeedback;
#[cfg(all(feature = "postgres", feature = "registry"))]
pub(crate) use self::postgres::{Failure, Server, Session};
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresWriter};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteStore, SqliteWriter};
#[cfg(feature = "limit")]
pub(crate) use self::{
    alert_record::AlertRecord, limit_credit_record::LimitCreditRecord, limit_rule_record::LimitRuleRecord,
};
#[cfg(feature = "analytics")]
pub use self::{change::Change, saved_view::SavedView, verification::Verification};
#[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
pub use self::{feedback::Feedback, rollup::Totals};
pub use self::{key_info::KeyInfo, memory_store::MemoryStore, store_error::StoreError};
pub use crate::row::{Column, ColumnKind, Dimension, EventRow, Field, Number, SCHEMA};
#[cfg(feature = "postgres")]
pub use tokio_postgres;
