use http::HeaderName;

use crate::{config_error::ConfigError, headers::is_reserved};

/// The beginning of the names of headers that become tags, in lowercase.
#[derive(Clone, Debug)]
pub(super) struct Prefix(Box<str>);

impl Prefix {
    pub(super) fn new(prefix: &str) -> Result<Self, ConfigError> {
        let name = HeaderName::from_bytes(prefix.trim().as_bytes()).map_err(|_| {
            ConfigError::new(format!("invalid header prefix {prefix:?}: expected the beginning of a header name"))
        })?;
        Ok(Self(name.as_str().into()))
    }

    /// Creates a prefix that is known to be valid and in lowercase.
    pub(super) fn known(prefix: &'static str) -> Self {
        Self(prefix.into())
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        name.starts_with(&*self.0)
    }

    /// Returns the rest of a header name after the prefix, unless it is reserved.
    pub(super) fn rest_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(&*self.0).filter(|rest| !is_reserved(rest))
    }
}
