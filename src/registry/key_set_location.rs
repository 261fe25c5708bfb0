use std::path::PathBuf;

/// The place of a JSON Web Key Set ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySetLocation {
    /// A file.
    File(PathBuf),
    /// A URL.
    Url(String),
}
