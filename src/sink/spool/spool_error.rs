use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

/// The error returned when a [`Spool`](super::Spool) cannot be opened.
///
/// Its message names the operation, the path, and the cause.
#[derive(Debug)]
pub struct SpoolError {
    operation: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl SpoolError {
    pub(super) fn new(operation: &'static str, path: &Path, cause: io::Error) -> Self {
        Self { operation, path: path.to_owned(), cause }
    }

    /// Returns a closure that adds an operation and a path to an I/O error, for use with `map_err`.
    pub(super) fn context(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::new(operation, path, cause)
    }

    /// Returns the underlying I/O error.
    pub(super) fn cause(&self) -> &io::Error {
        &self.cause
    }

    /// Returns the file or directory that the failed operation was applied to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the kind of the underlying I/O error.
    ///
    /// It is [`ResourceBusy`](io::ErrorKind::ResourceBusy) if another process has the spool open, and
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if a setting of the builder is invalid.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.operation, self.path.display(), self.cause)
    }
}

impl Error for SpoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The message already includes the cause.
        self.cause.source()
    }
}

impl From<SpoolError> for io::Error {
    /// Converts the error to an [`io::Error`] of the same kind, with the same message.
    fn from(error: SpoolError) -> Self {
        Self::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::Spool;

    #[test]
    fn message_names_the_operation_the_path_and_the_cause() {
        let error = Spool::builder("/dev/null/spool").max_bytes(10).open().unwrap_err();
        let expected = "cannot open spool /dev/null/spool: expected max_bytes of at least 65536, found 10";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(io::Error::from(error).to_string(), expected);
        let error = Spool::open("/dev/null/spool").unwrap_err();
        assert!(error.to_string().starts_with("cannot create directory /dev/null/spool: "), "{error}");
        assert_eq!(error.path(), "/dev/null/spool");
    }
}
