//! The tags that an API key may set from the request.
//!
//! A key that a team embeds in its service should not be able to book its calls to another team. [`Claims`] list the tags
//! that requests with the key may set. [`Otherwise`] selects the treatment of all other tags.
//!
//! ```
//! use tower_tagging::registry::{Claims, Otherwise};
//!
//! let claims = Claims::new(["_user", "feature", "environment=prod*", "x-*"], Otherwise::Drop)?;
//! assert!(claims.allows("_user", "ada"));
//! assert!(claims.allows("environment", "production"));
//! assert!(!claims.allows("environment", "staging"));
//! assert!(claims.allows("x-experiment", "blue"));
//! assert!(!claims.allows("team", "growth"));
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! # Entries
//!
//! An entry is `KEY`, which allows every value, or `KEY=GLOB`. Several entries for one key are alternatives. Both parts are
//! globs:
//!
//! | in a glob | matches |
//! |---|---|
//! | `*` | any text, also none |
//! | `?` | any one character |
//! | `\` and a character | this character; `\=` in a key is an equals sign |
//! | any other character | itself, in the same case |
//!
//! A glob matches whole keys and values. Keys are compared after aliases and the key style were applied.
//!
//! # Limits
//!
//! Matching takes at most as many steps as the product of the lengths of the glob and the text, and it does not allocate.

mod claims;
mod entry;
mod glob;
mod otherwise;

#[cfg(feature = "limit")]
pub(crate) use self::glob::Glob;
pub use self::{claims::Claims, otherwise::Otherwise};
