//! Callers, the tags that they carry, and the tags that they may set.

mod access;
mod admission;
mod build;
mod callers;
mod claims;
mod closest;
mod config;
#[cfg(feature = "schema")]
mod contract;
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
mod login;
mod names;
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
mod screening;
mod shared;
mod snapshot;
mod source;
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
#[cfg(feature = "schema")]
pub use self::{
    contract::{Contract, ContractMode, SchemaError, Violation, ViolationKind},
    coverage::TagCoverage,
};
