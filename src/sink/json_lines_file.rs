use std::{io, path::Path, sync::Arc};

use crate::event::Event;

use super::{
    append_file::{AppendFile, AppendPath, Start},
    json_lines_error::JsonLinesError,
    line_batch::LineBatch,
    queued::{BatchWriter, Queued, QueuedBuilder, WriteError},
};

/// The [`BatchWriter`] of [`JsonLinesSink::file`](super::JsonLinesSink::file).
///
/// Use it for a queue with other bounds, or with a spool. It follows
/// [log rotation](super::JsonLinesSink#log-rotation).
///
/// ```
/// use tower_tagging::sink::JsonLinesFile;
///
/// # let path = std::env::temp_dir().join(format!("events-{}.jsonl", std::process::id()));
/// let sink = JsonLinesFile::open(&path)?.queued().capacity(1_000).drop_oldest().build();
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonLinesFile {
    file: AppendFile,
    batch: LineBatch,
}

impl JsonLinesFile {
    /// Opens a file for appending. The file is created if it does not exist.
    ///
    /// If the last line of the file is incomplete, because an earlier process was killed, the first event starts on a
    /// new line.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened for appending.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JsonLinesError> {
        let path = path.as_ref();
        let file = AppendFile::open(path).map_err(|error| JsonLinesError::new("open for appending", path, error))?;
        let mut batch = LineBatch::default();
        batch.set_torn(file.is_torn(false));
        Ok(Self { file, batch })
    }

    /// Returns the builder of a [`Queued`] sink called `jsonl` with this writer.
    ///
    /// The defaults are those of [`JsonLinesWriter::queued`](super::JsonLinesWriter::queued).
    pub fn queued(self) -> QueuedBuilder<Self> {
        Queued::builder("jsonl", self).max_batch(64)
    }

    pub(super) fn path(&self) -> &Arc<AppendPath> {
        self.file.path()
    }

    /// Opens the file again if it was renamed or removed, so that the batch goes to the file that readers look at.
    fn follow_rotation(&mut self) -> Result<(), WriteError> {
        match self.file.follow() {
            Ok(Start::Opened { is_torn }) => self.batch.set_torn(is_torn),
            // The file may have been truncated since.
            Ok(Start::Same) if self.batch.is_torn() => self.batch.set_torn(self.file.is_torn(true)),
            Ok(Start::Same) => {}
            // Waits until the path is usable again.
            Err(error) => return Err(WriteError::retryable(self.error("reopen", error))),
        }
        Ok(())
    }

    fn write_batch(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let path = Arc::clone(self.file.path());
        self.batch.write(events, self.file.file(), |error| JsonLinesError::new("write to", path.as_path(), error))
    }

    fn error(&self, operation: &'static str, error: io::Error) -> JsonLinesError {
        JsonLinesError::new(operation, self.file.path().as_path(), error)
    }
}

impl BatchWriter for JsonLinesFile {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.follow_rotation()?;
        let result = self.write_batch(events);
        if !self.file.is_removed() {
            return result;
        }
        // The file was removed during the write, and the lines with it.
        self.follow_rotation()?;
        self.write_batch(events)
    }
}
