//! Callers, the tags that they carry, and the tags that they may set.

mod claims;
#[cfg(feature = "schema")]
mod contract;
mod login;
mod names;
mod screening;

pub use self::claims::{Claims, Otherwise};
#[cfg(feature = "schema")]
pub use self::contract::{Contract, ContractMode, SchemaError, Violation, ViolationKind};
pub use self::login::{LoginClaims, PeerIdentity, SpiffeTags, TagMapping};
pub use self::names::{KeyStyle, Names, NamesBuilder};
pub use self::screening::{Screening, ScreeningAction, ScreeningBuilder, ScreeningKind};
