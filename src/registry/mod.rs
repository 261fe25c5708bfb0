//! Callers, the tags that they carry, and the tags that they may set.

mod claims;
#[cfg(feature = "schema")]
mod contract;
#[cfg(feature = "jwt")]
pub mod jwt;
mod login;
mod names;
mod screening;

pub use self::claims::{Claims, Otherwise};
#[cfg(feature = "schema")]
pub use self::contract::{Contract, ContractMode, SchemaError, Violation, ViolationKind};
#[cfg(feature = "jwt")]
pub use self::jwt::{JwksStatus, JwtAlgorithm, JwtError, JwtVerifier, JwtVerifierBuilder};
pub use self::login::{LoginClaims, PeerIdentity, SpiffeTags, TagMapping};
pub use self::names::{KeyStyle, Names, NamesBuilder};
pub use self::screening::{Screening, ScreeningAction, ScreeningBuilder, ScreeningKind};
