//! The sources of request tags: headers that clients send.
//!
//! [`TagSources`] selects the sources. From the strongest to the weakest, where a weaker source only fills keys that the
//! stronger ones left unset:
//!
//! | source | method | key | value |
//! |---|---|---|---|
//! | JSON header | [`json_header`](TagSources::json_header) | as in the object | see below; repeated headers are read in order |
//! | prefixed headers | [`prefix`](TagSources::prefix) | rest of the name, see [`KeyCase`] | first value of the header |
//! | allow-list | [`allow_list`](TagSources::allow_list) | header name in lowercase, or a name of your choice | first value of the header |
//! | W3C `baggage` | [`baggage`](TagSources::baggage) | as in the member | percent-decoded, without properties |
//! | field `user` of the body | [`body_user`](TagSources::body_user) | `_user` | as text, also if the tag is empty |
//!
//!
//! In the JSON header, strings are used as they are, and numbers and booleans become text. Arrays and objects become
//! compact JSON text. A `null` does not become a tag. Header values that are not valid UTF-8 are read as Latin-1.
//!
//! ```
//! use tower_tagging::sources::TagSources;
//!
//! // The header of Portkey SDKs, and two headers of our own, one of them renamed.
//! let sources = TagSources::portkey().allow_list("x-user-id, x-tenant=tenant");
//! sources.check()?;
//!
//! // Headers that hold secrets are refused.
//! let error = TagSources::new().allow_list("x-user-id, authorization").check().unwrap_err();
//! assert!(error.to_string().contains("authorization"));
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! # Environment variables
//!
//! [`TagSources::from_env`] turns all sources on and lets operators choose the headers:
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `HEADERS_TO_METADATA` | allow-list, for example `x-user-id, x-tenant=tenant` | empty |
//! | `METADATA_PREFIXES` | prefixes, separated by commas | `x-majordomo-` |
//! | `METADATA_KEY_CASE` | case of the keys of prefixed headers: `lower` (`user-id`) or `title` (`User-Id`) | `lower` |

mod allow_list;
mod baggage;
mod capture;
mod captured;
mod header_value;
mod json;
mod key_case;
mod parse_key_case_error;
mod prefix;
mod secret;
mod strip_headers;
mod tag_sources;

pub(crate) use self::captured::Captured;
pub use self::{
    key_case::KeyCase, parse_key_case_error::ParseKeyCaseError, strip_headers::StripHeaders, tag_sources::TagSources,
};
