use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use crate::event::Event;

use super::{
    append_file::AppendPath, delivery::Delivery, json_lines_error::JsonLinesError, json_lines_file::JsonLinesFile,
    json_lines_writer::JsonLinesWriter, queued::Queued, sink::Sink,
};

/// Writes each event as one line of JSON ([JSON Lines](https://jsonlines.org)).
///
/// A dedicated thread writes whole lines in batches. Lines never interleave, and requests never wait for a disk or a
/// pipe.
///
/// To choose other bounds, use [`JsonLinesFile::queued`] or [`JsonLinesWriter::queued`].
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::{EventLayer, sink::JsonLinesSink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// let layer = EventLayer::new(JsonLinesSink::file(folder.join("events.jsonl"))?);
/// // … serve requests through the layer, then:
/// let report = layer.delivery().shutdown(Duration::from_secs(5)).await;
/// assert!(report.is_complete());
/// # Ok(())
/// # }
/// ```
///
/// # Log rotation
///
/// A sink on a [file](Self::file) checks its path before each batch. If the file was renamed, removed, or replaced by
/// another one, the batch goes to the file that now has the path. It is created if needed, and so is its folder. No
/// signal and no restart is necessary:
///
/// | rotation | events |
/// |---|---|
/// | the file is renamed (the default of `logrotate`) | none is lost. A batch that is being written goes to the renamed file, so compress it later (`delaycompress`) |
/// | the file is removed | a batch that is being written is written again |
/// | the file is copied and truncated (`copytruncate`) | lines that are written between the copy and the truncation are lost |
///
/// While the path cannot be opened, events wait in the queue, and the sink becomes
/// [unavailable](super::SinkHealth::Unavailable).
///
/// Files are distinguished by device and inode number on Unix. On other systems, only a path without a file is recognized;
/// call [`reopen`](Self::reopen) after other rotations.
///
/// # Torn lines
///
/// A full disk or a killed process can leave part of a line in the file. The event of a full disk is written again as a
/// whole, on a separate line, once there is room. A reader should skip a line that is not valid JSON, and wait for the
/// rest of a last line without a line feed.
#[derive(Clone, Debug)]
pub struct JsonLinesSink {
    queued: Queued,
    path: Option<Arc<AppendPath>>,
}

impl JsonLinesSink {
    /// Creates a sink that writes to standard output.
    ///
    /// `tracing_subscriber::fmt` also writes there by default: send its logs to standard error, with
    /// `.with_writer(std::io::stderr)`, so that every line is an event.
    pub fn stdout() -> Self {
        Self::writer(io::stdout())
    }

    /// Creates a sink that appends to a file. The file is created if it does not exist.
    ///
    /// If the last line of the file is incomplete, because an earlier process was killed, the first event starts on a
    /// new line. See [Log rotation](Self#log-rotation) for files that are renamed or removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened for appending.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, JsonLinesError> {
        let file = JsonLinesFile::open(path)?;
        let path = Some(Arc::clone(file.path()));
        Ok(Self { queued: file.queued().build(), path })
    }

    /// Creates a sink that writes to any writer, which does not need to be buffered.
    ///
    /// Each batch is written in one piece and flushed.
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self { queued: JsonLinesWriter::new(writer).queued().build(), path: None }
    }

    /// Opens the file again, for example on SIGHUP. The next batch is written to it.
    ///
    /// On Unix, this is only necessary if the new file has to exist before the next event. Does nothing for a sink
    /// without a file. It blocks for as long as the system takes to open the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened for appending. The sink then keeps using the current file.
    pub fn reopen(&self) -> Result<(), JsonLinesError> {
        let Some(path) = &self.path else { return Ok(()) };
        path.reopen().map_err(|error| JsonLinesError::new("reopen", path.as_path(), error))
    }
}

impl Sink for JsonLinesSink {
    fn emit(&self, event: Arc<Event>) {
        self.queued.emit(event);
    }

    fn delivery(&self) -> Delivery {
        self.queued.delivery()
    }

    fn name(&self) -> &str {
        self.queued.name()
    }
}
