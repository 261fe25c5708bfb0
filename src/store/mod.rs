//! Stores: events as rows of a table, in SQLite or Postgres.
//!
//! A store makes its tables, gives a sink that writes to them, and answers a few questions; all others are SQL.
//!
//! | store | feature | for |
//! |---|---|---|
//! | `SqliteStore` | `sqlite` | one process, and no server: a file |
//! | `PostgresStore` | `postgres` | several replicas, and a database that others query too |
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
//! // … serve requests through the layer, then:
//! let report = layer.delivery().shutdown_blocking(Duration::from_secs(5));
//! assert!(report.is_complete(), "{report}");
//!
//! // And now and then:
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
//! # The table
//!
//! `llm_requests` has a row for each event, of an LLM call or not. Both stores have the same columns:
//!
//! | columns | |
//! |---|---|
//! | `id` | of the event: a second delivery changes nothing |
//! | `requested_at`, `responded_at`, `response_time_ms`, `time_to_first_byte_ms`, `time_to_first_token_ms` | UTC, and whole milliseconds |
//! | `request_method`, `request_path`, `route`, `host`, `status_code`, `outcome`, `error_message`, `request_bytes`, `response_bytes` | |
//! | `provider`, `model`, `request_model`, `operation`, `stream`, `usage_status` | `model` is the one that answered, else the one asked for |
//! | `input_tokens`, `output_tokens`, `cached_tokens`, `cache_creation_tokens`, `cache_creation_1h_tokens`, `reasoning_tokens` | input includes cache reads (`cached`) and writes (`cache_creation`), output includes reasoning |
//! | `input_cost`, `output_cost`, `total_cost`, `cost_status`, `price_source` | US dollars |
//! | `trace_id`, `trace_id`, `span_id`, `parent_span_id`, `span_name`, `span_path` | |
//! | `raw_metadata` | all tags, a JSON object |
//! | `indexed_metadata` | the tags of [activated](#keys) keys; `NULL` when there are none |
//! | `metadata_sources` | for each of the tags the scope that set it, a JSON object: `{"feature":"request","tenant":"workspace"}` |
//! | `diagnostics` | a JSON array |
//!
//! What is not known is `NULL`, never zero. Postgres has `uuid`, `timestamptz`, `bigint`, `jsonb`, and exact `numeric`
//! dollars. SQLite has text for ids, for times (RFC 3339 with microseconds, so that their order as text is their order) and for
//! JSON, and floating-point dollars. Numbers that a column can't hold become the largest that it can, times outside of the
//! years 1970 to 9999 the nearest within, and NUL, which Postgres can't hold, `U+FFFD`.
//!
//! # Keys
//!
//! A new metadata key needs no change of the schema: it is in `raw_metadata` at once. To search by its values in a large
//! table, activate it: `activate_key` fills `indexed_metadata`, in stored rows too, and has an index for it; `deactivate_key`
//! takes it back. In Postgres ask `WHERE indexed_metadata @> '{"Feature": "search"}'`, in SQLite `WHERE
//! indexed_metadata->>'Feature' = 'search'`.
//!
//! `list_keys` says of each key how many requests had it, when it was last seen, and about how many values it has. Writers
//! count that in memory for rows that they did insert, and add it to the table as they write, at most once a second, and at
//! their end; what a killed process had not added is missing. Counted are up to 4,096 keys at a time and some 10,000 in all,
//! of at most 1,024 bytes each: beyond that requests are stored all the same, and their keys are not in the list.
//!
//! # Errors
//!
//! The writers say of every error [what is to become](crate::sink::WriteErrorKind) of the batch: what an operator can mend is
//! retryable (the server is away, the disk is full, the tables are missing), what the database refuses to hold is rejected.

mod error;
mod keys;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
mod sketch;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresStore, PostgresWriter};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteStore, SqliteWriter};
pub use self::{error::StoreError, keys::KeyInfo};
#[cfg(feature = "postgres")]
pub use tokio_postgres;
