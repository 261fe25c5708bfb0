use std::{error, fmt};

/// The error returned when a price catalog cannot be read.
#[derive(Debug)]
pub struct CatalogError {
    source: genai_prices::Error,
}

impl CatalogError {
    pub(super) fn new(source: genai_prices::Error) -> Self {
        Self { source }
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid price catalog: expected provider data in the v2 JSON format of genai-prices ({})",
            self.source
        )
    }
}

impl error::Error for CatalogError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.source()
    }
}
