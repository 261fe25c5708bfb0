//! One name for each tag: aliases, key styles, and hints for typos.
//!
//! Clients of different teams send `user_id`, `userId`, and `x-user-id` for the same thing, and every report then has three
//! columns. [`Names`] folds them into one key before tags are merged.
//!
//! ```
//! use tower_tagging::registry::{KeyStyle, Names};
//!
//! let names = Names::builder().style(KeyStyle::Snake).alias("user_id", "_user").alias("x_user_id", "_user").build()?;
//! assert_eq!(names.apply("userId"), "_user");
//! assert_eq!(names.apply("X-User-Id"), "_user");
//! assert_eq!(names.apply("Session-ID"), "session_id");
//!
//! // A hint for a key that is not in the contract.
//! assert_eq!(Names::typo("enviroment", ["environment", "team"]), Some("environment"));
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! # Order
//!
//! An alias for the key exactly as sent is used first. Otherwise, the [style](KeyStyle) is applied, and then an alias for
//! the result. The key of an alias is stored as it is configured.
//!
//! If a JSON header has a tag under several names, a name with a value beats one without. Otherwise, the key's own name beats its
//! aliases, and the first alias beats later ones. A different value that loses is the diagnostic [`conflict`](crate::metadata::DiagnosticCode::Conflict). In other sources, the
//! first name wins.
//!
//! Rules name keys as they are stored. A trusted tag, claim, contract, screening rule, limit, or active key with a key that is
//! stored under another one would protect nothing, so it is a problem of the configuration.
//!
//! # Limits
//!
//! Keys that stay as they are do not allocate. Typos are found within one edit, and only for keys of at least four
//! characters.

mod key_style;
mod look_alike;
mod names;
mod names_builder;
mod typo;

#[allow(unused_imports, reason = "for the filter of callers")]
pub(crate) use self::look_alike::{is_same_or_look_alike, look_alikes};
pub use self::{key_style::KeyStyle, names::Names, names_builder::NamesBuilder};
