//! Virtual keys: named credentials for providers.

mod authorization;
mod credential;
mod secret_source;
mod virtual_key;
mod virtual_key_status;

pub(crate) use self::secret_source::SecretSource;
pub use self::{credential::Credential, virtual_key::VirtualKey, virtual_key_status::VirtualKeyStatus};
