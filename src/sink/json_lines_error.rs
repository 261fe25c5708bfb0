use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

/// The error returned when the file of a [`JsonLinesSink`](super::JsonLinesSink) cannot be used.
///
/// It converts into an [`io::Error`] of the same [kind](Self::kind).
#[derive(Debug)]
pub struct JsonLinesError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl JsonLinesError {
    pub(super) fn new(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { operation, path: path.into(), source }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the kind of the I/O error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for JsonLinesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.path.display(), self.source)
    }
}

impl Error for JsonLinesError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The I/O error itself is part of the message.
        self.source.source()
    }
}

impl From<JsonLinesError> for io::Error {
    fn from(error: JsonLinesError) -> Self {
        Self::new(error.kind(), error)
    }
}
