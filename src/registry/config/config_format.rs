use std::path::Path;

/// The format of a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfigFormat {
    /// [TOML](https://toml.io/en/v1.1.0).
    #[default]
    Toml,
    /// JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)).
    Json,
}

impl ConfigFormat {
    /// Returns the format of a file: JSON if its extension is `json`, and TOML otherwise.
    pub fn of(path: impl AsRef<Path>) -> Self {
        let extension = path.as_ref().extension();
        let is_json = extension.is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if is_json { Self::Json } else { Self::Toml }
    }
}
