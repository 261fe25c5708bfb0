//! The form, the digest, and the creation of API keys.

mod api_key;
mod key_form;
mod key_secret;
mod secret_digest;

pub(crate) use self::key_form::{has_form, is_api_key};
pub use self::{api_key::ApiKey, key_secret::KeySecret, secret_digest::SecretDigest};
