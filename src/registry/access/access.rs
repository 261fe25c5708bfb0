use super::{error_style::ErrorStyle, trusted_header::TrustedHeader, unknown_keys::UnknownKeys};

/// The default of `key_headers`: first the headers that are meant for gateways, then those of HTTP and the providers.
const KEY_HEADERS: [&str; 6] =
    ["x-portkey-api-key", "x-majordomo-key", "authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// The settings of the section `access`, with headers that are not checked yet.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) unknown_keys: UnknownKeys,
    pub(crate) key_headers: Vec<String>,
    pub(crate) trusted_headers: Vec<TrustedHeader>,
    pub(crate) errors: ErrorStyle,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            unknown_keys: UnknownKeys::default(),
            key_headers: KEY_HEADERS.map(str::to_owned).into(),
            trusted_headers: Vec::new(),
            errors: ErrorStyle::default(),
        }
    }
}
