//! Secrets and personal data that clients send by mistake.
//!
//! Tags are copied to every sink, so a key or an email address in a tag spreads to logs, stores, and dashboards.
//! [`Screening`] recognizes them in tags and other short texts, and masks them, replaces them by a keyed hash, or drops the
//! tag.
//!
//! ```
//! use tower_tagging::registry::{Screening, ScreeningAction, ScreeningKind};
//!
//! let screening = Screening::builder()
//!     .kind(ScreeningKind::Secrets, ScreeningAction::Mask)
//!     .kind(ScreeningKind::Emails, ScreeningAction::Hash)
//!     .kind(ScreeningKind::Cards, ScreeningAction::Drop)
//!     .tag("_user", ScreeningAction::Hash)
//!     .hash_key("16 bytes at least")
//!     .build()?;
//!
//! // One person has one hash, however the address is written.
//! let (ada, kinds) = screening.screen_tag("note", "from Ada@Example.com");
//! assert_eq!(kinds, [ScreeningKind::Emails]);
//! assert_eq!(ada, screening.screen_tag("note", "from ada@example.com").0);
//!
//! assert_eq!(screening.screen_tag("payment", "4111 1111 1111 1111").0, None);
//! assert_eq!(screening.screen("invalid header: Bearer 8jx72kd0q1"), "invalid header: Bearer [secret]");
//! assert_eq!(screening.screen("order 4711 of team growth"), "order 4711 of team growth");
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! # Kinds
//!
//! | kind | recognizes |
//! |---|---|
//! | [`Secrets`](ScreeningKind::Secrets) | keys and tokens of about 100 providers by their prefix; API keys of this crate; JSON Web Tokens; `Bearer …` and `Basic …`; passwords in URLs; private keys; values after names such as `password=` and `"api_key":`, and of tags with such names |
//! | [`Emails`](ScreeningKind::Emails) | addresses, also with internationalized domains and `%40` |
//! | [`Cards`](ScreeningKind::Cards) | 13 to 19 digits of a known issuer with a valid check digit, with or without spaces and hyphens |
//! | [`Ibans`](ScreeningKind::Ibans) | numbers of the IBAN registry with valid check digits, with or without spaces |
//! | [`Phones`](ScreeningKind::Phones) | E.164 with `+`; common national formats with separators; digits after a word such as `phone:` |
//! | [`HighEntropy`](ScreeningKind::HighEntropy) | random words of at least 20 letters in both cases and digits |
//!
//! Kinds that are not set are off. A part that several kinds recognize belongs to the first of them.
//!
//! # Replacements
//!
//! A mask is the kind in brackets: `[secret]`, `[email]`, `[card]`, `[iban]`, `[phone]`, `[entropy]`. A hash is the kind and
//! the first 64 bits of HMAC-SHA-256 (RFC 2104): `email:0123456789abcdef`. Addresses are hashed in lowercase, and numbers
//! without separators. Replaced parts are not replaced again.
//!
//! # Limits
//!
//! Screening finds mistakes. It is not a boundary against clients that hide data on purpose. Ids that happen to be valid
//! cards are replaced, and about one in forty random numbers of 16 digits is. Texts in which nothing is recognized do not
//! allocate. The work is linear in the length of the text.

mod assignment;
mod bytes;
mod cards;
mod emails;
mod entropy;
mod found;
mod ibans;
mod jwt;
mod keyed_hash;
mod phones;
mod private_keys;
mod replaced;
mod scan;
mod scopes;
mod screening;
mod screening_action;
mod screening_builder;
mod screening_kind;
mod secret_forms;
mod secrets;
mod url_credentials;

pub use self::{
    screening::Screening, screening_action::ScreeningAction, screening_builder::ScreeningBuilder,
    screening_kind::ScreeningKind,
};
