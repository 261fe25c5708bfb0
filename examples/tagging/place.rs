use std::{fmt, str::FromStr};

use tower_tagging::analytics::ExportToken;

/// The place at which an export continues. Its text is `TOKEN` or `TOKEN@BYTES`.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) token: ExportToken,
    /// The bytes of the file up to the end of the last complete request. `None` for the whole file.
    pub(crate) bytes: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.token.fmt(f)?;
        self.bytes.map_or(Ok(()), |bytes| write!(f, "@{bytes}"))
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (token, bytes) = match text.rsplit_once('@') {
            Some((token, bytes)) => {
                let invalid = |_| format!("invalid number of bytes {bytes:?} after \"@\"");
                (token, Some(bytes.parse().map_err(invalid)?))
            }
            None => (text, None),
        };
        Ok(Self { token: token.parse().map_err(|error| format!("{error}"))?, bytes })
    }
}
