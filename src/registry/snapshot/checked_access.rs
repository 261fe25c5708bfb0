use http::HeaderName;

use crate::metadata::Scope;

use super::super::access::{ErrorStyle, UnknownKeys};

/// The valid settings of the section `access`.
#[derive(Debug)]
pub(crate) struct CheckedAccess {
    pub(crate) unknown_keys: UnknownKeys,
    pub(crate) errors: ErrorStyle,
    pub(crate) key_headers: Vec<KeyHeader>,
    pub(crate) trusted_headers: Vec<CheckedHeader>,
}

/// A header in which keys are looked for.
#[derive(Debug)]
pub(crate) struct KeyHeader {
    pub(crate) name: HeaderName,
    /// Keys in this header are for a gateway, and never for a provider.
    pub(crate) is_for_gateways: bool,
}

impl KeyHeader {
    pub(crate) fn new(name: HeaderName) -> Self {
        let is_shared =
            ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"].contains(&name.as_str());
        Self { name, is_for_gateways: !is_shared }
    }
}

/// A header that becomes a tag of a trusted scope.
#[derive(Debug)]
pub(crate) struct CheckedHeader {
    pub(crate) name: HeaderName,
    pub(crate) key: String,
    pub(crate) scope: Scope,
}
