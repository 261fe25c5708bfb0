use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::Path,
    sync::Arc,
};

use crate::event::Event;

use super::{
    delivery::Delivery, json_lines_error::JsonLinesError, json_lines_writer::JsonLinesWriter, queued::Queued,
    sink::Sink,
};

/// Writes each event as one line of JSON ([JSON Lines](https://jsonlines.org)).
///
/// A dedicated thread writes whole lines in batches. Lines never interleave, and requests never wait for a disk or a
/// pipe. If a disk fills up in the middle of a line, the event is written again, as a whole and on a separate line,
/// once there is room.
///
/// To choose other bounds, use [`JsonLinesWriter::queued`].
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
#[derive(Clone, Debug)]
pub struct JsonLinesSink {
    queued: Queued,
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
    /// new line.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened for appending.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, JsonLinesError> {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| JsonLinesError::new("open for appending", path, error))?;
        let writer = JsonLinesWriter::for_file(file, path, ends_within_line(path));
        Ok(Self { queued: writer.queued().build() })
    }

    /// Creates a sink that writes to any writer, which does not need to be buffered.
    ///
    /// Each batch is written in one piece and flushed.
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self { queued: JsonLinesWriter::new(writer).queued().build() }
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

/// Returns `true` if a regular file ends without a line feed.
fn ends_within_line(path: &Path) -> bool {
    // Opening a pipe would block until it has a writer.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let mut last = [b'\n'];
    let read = File::open(path).and_then(|mut file| {
        file.seek(io::SeekFrom::End(-1))?;
        file.read_exact(&mut last)
    });
    read.is_ok() && last != [b'\n']
}
