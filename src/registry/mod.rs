//! Callers, the tags that they carry, and the tags that they may set.
//!
//! A [`Registry`] identifies the caller of every request by its API key. The key and its workspace add trusted tags, which
//! clients cannot override, and rules for the tags that clients send. [`RegistryLayer`] applies them to a service.
//!
//! ```
//! use axum::{Router, routing::post};
//! use tower_tagging::{
//!     TagSources, TaggingLayer, Tags,
//!     registry::{ApiKey, Registry, RegistryLayer},
//!     sink::JsonLinesSink,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Give the key to its owner. The configuration contains its digest only.
//! let key = ApiKey::generate("gw")?;
//! let registry = Registry::from_toml(&format!(
//!     r#"
//!     [workspaces.acme]
//!     metadata = {{ company = "acme" }}
//!
//!     [api_keys.web]
//!     workspace = "acme"
//!     secrets = [{{ sha256 = "{}" }}]
//!     metadata = {{ team = "growth" }}
//!     claims = {{ allow = ["_user", "feature"] }}
//!
//!     [access]
//!     unknown_keys = "reject"
//!     "#,
//!     key.sha256()
//! ))?;
//! let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(JsonLinesSink::stdout()).build()?;
//! let handler = |tags: Tags| async move { tags.get("team").unwrap_or_default().to_string() };
//! let app: Router = Router::new().route("/", post(handler)).layer(RegistryLayer::new(registry.clone(), tagging));
//!
//! // Without a layer, code asks the registry itself.
//! let request = http::Request::builder().header("authorization", format!("Bearer {}", key.expose())).body(())?;
//! let principal = registry.principal(&request.into_parts().0);
//! assert_eq!((principal.api_key(), principal.workspace()), (Some("web"), Some("acme")));
//! # Ok(())
//! # }
//! ```
//!
//! # Steps of a request
//!
//! 1. **Key.** The first known key counts, in the order of the configured headers and then in the order of appearance.
//!    Expired and disabled keys get status 401. Unknown and missing keys are anonymous, or get a 401 if so configured.
//! 2. **Aliases and key style** ([`Names`]) of the tags that the client sent.
//! 3. **Claims** ([`Claims`]): tags that the key may not set are dropped, or the request is rejected.
//! 4. **Screening** ([`Screening`]): secrets and personal data are masked, hashed, or dropped.
//! 5. **Merge and defaults**: the trusted tags of the key, the workspace, and other [trusted sources](#trusted-tags) win.
//!    Defaults of contracts fill what is missing.
//! 6. **Contracts** (`Contract`, feature `schema`) are checked on the result.
//!
//! # Sources
//!
//! | source | changes | start with |
//! |---|---|---|
//! | code | [`Registry::replace`] | [`Registry::builder`] |
//! | TOML or JSON text | [`Registry::replace`] | [`Registry::from_toml`], [`Registry::from_json`] |
//! | a file | [`Registry::watch`], [`Registry::reload`] | [`Registry::from_file`] |
//! | Postgres tables (feature `postgres`) | `NOTIFY`, and an interval | `PostgresRegistry` |
//!
//! ```
//! use tower_tagging::{registry::{RegisteredKey, Registry, SecretDigest, Workspace}, tags};
//!
//! let registry = Registry::builder()
//!     .workspace(Workspace::new("acme").metadata(tags! { "company" => "acme" }))
//!     .api_key(RegisteredKey::new("web").workspace("acme").secret(SecretDigest::of("sk-gateway-1")))
//!     .build()?;
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! ```no_run
//! use std::time::Duration;
//! use tower_tagging::registry::Registry;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::from_file("gateway.toml")?;
//! registry.watch(Duration::from_secs(5))?;
//! // The age of the state, and the reason if the file can no longer be loaded.
//! println!("{}", registry.status());
//! # Ok(())
//! # }
//! ```
//!
//! The state is immutable and replaced as a whole, so every request sees one state. If a source is broken or lost, the last
//! state stays in force. [`Registry::status`] has its age and the reason, which is also logged once, with the target
//! `tower_tagging::registry`. Counts and the states of virtual keys continue when the state is replaced.
//!
//! # Configuration file
//!
//! | section | content |
//! |---|---|
//! | `workspaces.SLUG` | `name`, `metadata`, `limits`, `contract` |
//! | `api_keys.NAME` | `workspace`, `secrets`, `metadata`, `forced`, `forced_override`, `permissions`, `claims`, `disabled`, `expires_at`, `contract` |
//! | `virtual_keys.SLUG` | `provider`, `base_url` (the request path is appended, so without `/v1`), `secret_env` or `secret_file`, `workspaces`, `expires_at` |
//! | `contract` | `mode`, `schema`: a contract for all requests (feature `schema`) |
//! | `access` | `unknown_keys`, `key_headers`, `trusted_headers`, `errors` |
//! | `names` | `aliases`, `style` |
//! | `screening` | the treatment of each kind, `tags`, `hash_key_env` or `hash_key_file` |
//! | `jwt` | `jwks_file` or `jwks_url`, `issuer`, `audience`, `algorithms`, `tags` (feature `jwt`) |
//! | `login` | `tags`: claims of [`LoginClaims`] that become tags |
//! | `spiffe` | `trust_domain`, `segments`: parts of [`PeerIdentity`] that become tags |
//! | `alerts`, `analytics`, `ledger`, `limits` | not read by the registry, but by other modules: see [`Registry::ignored_sections`] |
//!
//! A file counts once it was seen twice without a change, and a file that lost all API keys is not loaded by the watch, because
//! it may be in the middle of being written. Replace it by renaming a complete file.
//!
//! Unknown keys and invalid values are errors. All problems are reported at once, with line and column, and
//! [`Registry::check_file`] only looks for them. Relative paths start at the folder of the file.
//!
//! # Trusted tags
//!
//! | source | scope |
//! |---|---|
//! | `metadata` of a key, of a workspace | [`ApiKey`](crate::Scope::ApiKey), [`Workspace`](crate::Scope::Workspace) |
//! | `forced` tags of a key | [`Forced`](crate::Scope::Forced), or [`Fallback`](crate::Scope::Fallback) with `forced_override` |
//! | `trusted_headers`, which your own proxy sets | as configured |
//! | [`LoginClaims`], [`PeerIdentity`], signed tokens | as configured |
//! | `default` of a contract | [`Fallback`](crate::Scope::Fallback) |
//!
//! [`Registry::report`] counts the tags of clients that trusted tags shadowed, per key and workspace. A rising count is a sign
//! of spoofing.
//!
//! # Keys
//!
//! [`ApiKey::generate`] creates keys that secret scanners recognize. Keys of any other form work as well. A registry has only
//! the SHA-256 of a key. That is enough for keys with 128 or more random bits, and too little for passwords.
//!
//! To rotate a key, add a second secret and set `expires_at` of the first one. A proxy removes known keys with
//! [`Registry::strip_credentials`] before it forwards a request.
//!
//! # Answers
//!
//! A request that is not admitted does not reach the service. Its event has the outcome `rejected`, the reason, the names of key
//! and workspace, and its tags.
//!
//! | reason | when | status |
//! |---|---|---|
//! | `unknown_key` | no known key or valid token, with `unknown_keys = "reject"` | 401 |
//! | `expired_key`, `disabled_key` | the key has ended | 401 |
//! | `invalid_token` | a token of a configured issuer is not valid | 401 |
//! | `claim` | a tag that the key may not set, with `otherwise = "reject"` | 403 |
//! | `contract` | a required tag is missing, or a tag has a wrong value | 400; Portkey: 446 |
//! | `value_too_long`, `too_many_tags`, … | a tag exceeds a limit with `overflow = "reject"`, see [`Limits`](crate::metadata::Limits) | 400 |
//! | `broken_body` | the body breaks off while it is read ahead | 400 |
//! | `unknown_virtual_key` | no virtual key has the slug | 400 |
//! | `forbidden_virtual_key` | the key is not known, or its workspace may not use the virtual key | 403 |
//! | `expired_virtual_key` | the virtual key has expired | 403; Portkey: 401 |
//! | `exhausted_virtual_key` | the limits of the virtual key are used up | 429; Portkey: 412 |
//!
//! [`ErrorStyle::Problem`] answers with problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), with the reason as
//! `code`, and for contracts the list `violations`. [`ErrorStyle::Portkey`] answers with the bodies of that gateway. Answers name
//! keys of tags and slugs, but never values.
//!
//! If a contract needs `_user` and [`TagSources::body_user`](crate::TagSources::body_user) is on, up to 256 KiB of the body are
//! read ahead, and reach the service unchanged. A value after that is ignored, with the diagnostic `too_large`. Like a handler
//! that reads the body, this waits for the client, so put a timeout layer around. Tags that a handler sets come too late for
//! contracts.
//!
//! # Anonymous callers
//!
//! With `unknown_keys = "anonymous"`, the default, callers without a known key are served. They carry no trusted tags of a key,
//! no claims restrict them, and only the global contract applies, so they may set `tenant` or `team` as they like;
//! [`Event::source`](crate::Event::source) tells such tags apart. An unknown key is the diagnostic `unknown_key`, which shows
//! when it is safe to switch to `"reject"`. Then route requests that have no key, such as health checks and the preflight
//! requests of browsers, around the layer.
//!
//! # Rollout
//!
//! Start with the mode `report`. Violations are diagnostics on the event, such as `contract_missing`, and
//! `Registry::coverage` has the share of requests and of cost that carries each tag. Tags that a handler sets come too late for
//! a contract, so they do not count. A key that is one letter away from one of a contract is the diagnostic `possible_typo`.
//! [`guide::use_cases`](crate::guide::use_cases#governance) has the query for stored events.
//!
//! # Limits
//!
//! A lookup takes no lock, allocates nothing, and remembers nothing about unknown keys. A key has at most two secrets. A
//! registry holds all keys in memory and is replaced as a whole. Each file is read as a whole.

mod access;
mod admission;
mod build;
mod callers;
pub mod claims;
mod closest;
mod config;
#[cfg(feature = "schema")]
pub mod contract;
#[cfg(feature = "schema")]
mod coverage;
mod file_set;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "jwt")]
mod jwt_definition;
#[cfg(feature = "jwt")]
mod jwt_settings;
mod key_counters;
#[cfg(feature = "jwt")]
mod key_set_location;
mod keys;
pub mod login;
pub mod names;
#[cfg(feature = "postgres")]
mod postgres;
mod principal;
mod principal_status;
mod problem;
mod quote;
mod registry;
mod registry_builder;
mod registry_report;
mod registry_status;
pub mod screening;
mod shared;
mod snapshot;
mod source;
#[cfg(feature = "schema")]
mod tag_policy;
mod virtual_keys;
mod watcher;

#[cfg(feature = "jwt")]
pub use self::jwt::{JwksStatus, JwtAlgorithm, JwtError, JwtVerifier, JwtVerifierBuilder};
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresRegistry;
pub use self::{
    access::{ErrorStyle, UnknownKeys},
    admission::RegistryLayer,
    callers::{Permission, Permissions, RegisteredKey, Workspace},
    claims::{Claims, Otherwise},
    config::{ConfigFormat, ConfigProblem},
    key_counters::KeyCounters,
    keys::{ApiKey, KeySecret, SecretDigest},
    login::{LoginClaims, PeerIdentity, SpiffeTags, TagMapping},
    names::{KeyStyle, Names, NamesBuilder},
    principal::Principal,
    principal_status::PrincipalStatus,
    registry::Registry,
    registry_builder::RegistryBuilder,
    registry_report::RegistryReport,
    registry_status::RegistryStatus,
    screening::{Screening, ScreeningAction, ScreeningBuilder, ScreeningKind},
    virtual_keys::{Credential, VirtualKey, VirtualKeyStatus},
};
#[cfg(feature = "limit")]
pub(crate) use self::{claims::Glob, closest::closest, config::Table, virtual_keys::SecretSource};
#[cfg(feature = "analytics")]
pub(crate) use self::{
    config::{Place, Reader, read_sections},
    problem::Problems,
    quote::without_secrets,
    source::read_file,
};
#[cfg(feature = "schema")]
pub use self::{
    contract::{Contract, ContractMode, SchemaError, Violation, ViolationKind},
    coverage::TagCoverage,
    tag_policy::TagPolicy,
};
