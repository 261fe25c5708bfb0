use std::{
    fmt,
    fs::File,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::event::Event;

use super::{
    json_lines_error::JsonLinesError,
    queued::{BatchWriter, Queued, QueuedBuilder, WriteError, yielding_chunks},
};

/// The largest buffer that is kept between batches, in bytes.
const MAX_KEPT_BYTES: usize = 1024 * 1024;

/// The [`BatchWriter`] of a [`JsonLinesSink`](super::JsonLinesSink).
///
/// ```
/// use tower_tagging::sink::JsonLinesWriter;
///
/// let sink = JsonLinesWriter::new(std::io::stderr()).queued().capacity(1_000).drop_oldest().build();
/// ```
pub struct JsonLinesWriter<W> {
    writer: W,
    /// The file's path, for errors.
    path: Option<PathBuf>,
    lines: Vec<u8>,
    /// The end of each line in `lines`.
    line_ends: Vec<usize>,
    /// A failed write may have left part of a line in the output.
    is_torn: bool,
}

impl JsonLinesWriter<File> {
    pub(super) fn for_file(file: File, path: &Path, is_torn: bool) -> Self {
        Self { path: Some(path.to_owned()), is_torn, ..Self::new(file) }
    }
}

impl<W: Write + Send + 'static> JsonLinesWriter<W> {
    /// Creates a writer on top of any other, which does not need to be buffered.
    pub fn new(writer: W) -> Self {
        Self { writer, path: None, lines: Vec::new(), line_ends: Vec::new(), is_torn: false }
    }

    /// Returns the builder of a [`Queued`] sink called `jsonl` with this writer.
    ///
    /// The defaults are those of [`Queued::new`], except that a batch has up to 64 events. Lines are cheap to write,
    /// and small batches stay in the CPU caches that the requests' threads and the writer share.
    pub fn queued(self) -> QueuedBuilder<Self> {
        Queued::builder("jsonl", self).max_batch(64)
    }

    /// Replaces the contents of `lines` by those of a batch.
    fn serialize(&mut self, events: &[Arc<Event>]) -> serde_json::Result<()> {
        self.lines.clear();
        self.line_ends.clear();
        if self.is_torn {
            // The rest of a torn line stays on a separate line.
            self.lines.push(b'\n');
        }
        for event in yielding_chunks(events) {
            serde_json::to_writer(&mut self.lines, &**event)?;
            self.lines.push(b'\n');
            self.line_ends.push(self.lines.len());
        }
        Ok(())
    }

    /// Converts a failed write into the fate of the batch's events.
    fn write_error(&self, failure: PartialWrite) -> WriteError {
        let PartialWrite { written, error } = failure;
        let whole_lines = self.line_ends.iter().filter(|end| written.is_some_and(|bytes| **end <= bytes)).count();
        let is_retryable = written.is_some() && is_retryable(error.kind());
        let error = match &self.path {
            Some(path) => JsonLinesError::new("write to", path, error).into(),
            None => error,
        };
        if is_retryable { WriteError::retryable(error) } else { WriteError::new(error) }.after(whole_lines)
    }
}

impl<W> fmt::Debug for JsonLinesWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<W: Write + Send + 'static> BatchWriter for JsonLinesWriter<W> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.serialize(events).map_err(WriteError::new)?;
        let result = write_and_flush(&mut self.writer, &self.lines);
        self.is_torn = match &result {
            Ok(()) => false,
            // Nothing was written, or an unknown number of bytes: an earlier torn line may still be the last one.
            Err(PartialWrite { written: None | Some(0), .. }) => self.is_torn,
            Err(PartialWrite { written: Some(bytes), .. }) => !self.line_ends.contains(bytes),
        };
        if self.lines.capacity() > MAX_KEPT_BYTES {
            self.lines = Vec::new();
        }
        result.map_err(|failure| self.write_error(failure))
    }
}

/// Returns `true` if a write that failed with this error may succeed later.
fn is_retryable(kind: ErrorKind) -> bool {
    use ErrorKind::{QuotaExceeded, StorageFull, TimedOut, WouldBlock};
    matches!(kind, QuotaExceeded | StorageFull | TimedOut | WouldBlock)
}

/// A write that failed, perhaps after some bytes.
struct PartialWrite {
    /// Bytes that were written, or `None` if their number is unknown.
    written: Option<usize>,
    error: io::Error,
}

/// Does what `write_all` and `flush` do, and reports how many bytes were written before an error.
fn write_and_flush(writer: &mut impl Write, bytes: &[u8]) -> Result<(), PartialWrite> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let error = match writer.write(rest) {
            Ok(0) => ErrorKind::WriteZero.into(),
            Ok(written) => {
                rest = rest.get(written..).unwrap_or_default();
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        return Err(PartialWrite { written: Some(bytes.len() - rest.len()), error });
    }
    writer.flush().map_err(|error| PartialWrite { written: None, error })
}
