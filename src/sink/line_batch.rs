use std::{
    error::Error,
    io::{self, ErrorKind, Write},
    sync::Arc,
};

use crate::event::Event;

use super::queued::{WriteError, yielding_chunks};

/// The largest buffer that is kept between batches, in bytes.
const MAX_KEPT_BYTES: usize = 1024 * 1024;

/// Writes batches of events as lines of JSON, and recognizes a line that was torn by a failed write.
#[derive(Debug, Default)]
pub(super) struct LineBatch {
    lines: Vec<u8>,
    /// The end of each line in `lines`.
    line_ends: Vec<usize>,
    /// A failed write may have left part of a line in the output.
    is_torn: bool,
}

impl LineBatch {
    /// Returns `true` if the output may end within a line.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn
    }

    pub(super) fn set_torn(&mut self, is_torn: bool) {
        self.is_torn = is_torn;
    }

    /// Writes the events in one piece and flushes the writer.
    ///
    /// `describe` adds the name of the output to an I/O error.
    pub(super) fn write<E: Into<Box<dyn Error + Send + Sync>>>(
        &mut self,
        events: &[Arc<Event>],
        writer: &mut impl Write,
        describe: impl FnOnce(io::Error) -> E,
    ) -> Result<(), WriteError> {
        self.serialize(events).map_err(WriteError::new)?;
        let result = write_and_flush(writer, &self.lines);
        self.is_torn = match &result {
            Ok(()) => false,
            // Nothing was written, or an unknown number of bytes: an earlier torn line may still be the last one.
            Err(PartialWrite { written: None | Some(0), .. }) => self.is_torn,
            Err(PartialWrite { written: Some(bytes), .. }) => !self.line_ends.contains(bytes),
        };
        if self.lines.capacity() > MAX_KEPT_BYTES {
            self.lines = Vec::new();
        }
        result.map_err(|failure| self.write_error(failure, describe))
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
    fn write_error<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        failure: PartialWrite,
        describe: impl FnOnce(io::Error) -> E,
    ) -> WriteError {
        let PartialWrite { written, error } = failure;
        let whole_lines = self.line_ends.iter().filter(|end| written.is_some_and(|bytes| **end <= bytes)).count();
        let is_retryable = written.is_some() && is_retryable(error.kind());
        let error = describe(error);
        if is_retryable { WriteError::retryable(error) } else { WriteError::new(error) }.after(whole_lines)
    }
}

/// Returns `true` if a write that failed with this error may succeed later.
fn is_retryable(kind: ErrorKind) -> bool {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull, TimedOut, WouldBlock};
    // A file that has reached the limit of the process is usually rotated.
    matches!(kind, FileTooLarge | QuotaExceeded | StorageFull | TimedOut | WouldBlock)
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
