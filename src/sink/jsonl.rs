use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read, Seek, Write},
    path::Path,
    sync::Arc,
};

use crate::event::Event;

use super::{BatchWriter, Delivery, Queued, QueuedBuilder, Sink, WriteError, queued::in_turns};

/// Writes every event as one JSON object on a line of its own ([JSON Lines](https://jsonlines.org)).
///
/// Lines are written whole and in batches, on a thread of their own: they never interleave, and a request never waits for a
/// disk or a pipe. A full disk may end in the middle of a line: once there is room again, the event follows as a whole, on a
/// line of its own. It is what [`JsonLinesWriter::queued`] builds, where other bounds can be chosen.
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::{EventLayer, sink::JsonLinesSink};
///
/// # let folder = std::env::temp_dir();
/// let layer = EventLayer::new(JsonLinesSink::file(folder.join("events.jsonl"))?);
/// // … serve requests through the layer, then:
/// let report = layer.delivery().shutdown(Duration::from_secs(5));
/// assert!(report.is_complete());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct JsonLinesSink {
    queued: Queued,
}

impl JsonLinesSink {
    /// Writes to standard output.
    pub fn stdout() -> Self {
        Self::writer(io::stdout())
    }

    /// Appends to a file, which is created when it is not there. Should its last line be torn, as a process that was
    /// killed may leave it, the first event begins on a line of its own.
    ///
    /// # Errors
    /// When the file can't be opened for writing.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let path_in =
            |problem: io::Error| io::Error::new(problem.kind(), format!("{}: {problem}", path.as_ref().display()));
        let file = opened.map_err(path_in)?;
        let mut writer = JsonLinesWriter::new(file);
        writer.is_torn = ends_in_mid_line(path.as_ref());
        Ok(Self { queued: writer.queued().build() })
    }

    /// Writes to any writer; it need not be buffered. A batch is written in one piece and flushed.
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

/// Whether a file ends without a line feed, as one does whose writer was killed. What can't be read (a pipe) does not.
fn ends_in_mid_line(path: &Path) -> bool {
    let mut last = [b'\n'];
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let read = std::fs::File::open(path).and_then(|mut file| {
        file.seek(io::SeekFrom::End(-1))?;
        file.read_exact(&mut last)
    });
    read.is_ok() && last != [b'\n']
}

/// The [`BatchWriter`] of a [`JsonLinesSink`].
///
/// ```
/// use tower_tagging::sink::JsonLinesWriter;
///
/// let sink = JsonLinesWriter::new(std::io::stderr()).queued().capacity(1_000).drop_oldest().build();
/// ```
pub struct JsonLinesWriter<W> {
    writer: W,
    lines: Vec<u8>,
    /// Where each line of `lines` ends.
    ends: Vec<usize>,
    /// Whether a failed write may have left part of a line behind.
    is_torn: bool,
}

/// Largest buffer that is kept between batches, in bytes.
const KEEP_BYTES: usize = 1024 * 1024;

impl<W: Write + Send + 'static> JsonLinesWriter<W> {
    /// Writes to any writer; it need not be buffered.
    pub fn new(writer: W) -> Self {
        Self { writer, lines: Vec::new(), ends: Vec::new(), is_torn: false }
    }

    /// A [`Queued`] called `jsonl` around this writer, whose bounds can be chosen. They begin as those of [`Queued::new`], but
    /// for batches of at most 64 events: lines are cheap to write, and few events on their way stay in the caches of the
    /// requests that fill them and of the thread that reads them.
    pub fn queued(self) -> QueuedBuilder<Self> {
        Queued::builder("jsonl", self).max_batch(64)
    }
}

impl<W> fmt::Debug for JsonLinesWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesWriter").finish_non_exhaustive()
    }
}

impl<W: Write + Send + 'static> BatchWriter for JsonLinesWriter<W> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.lines.clear();
        self.ends.clear();
        if self.is_torn {
            // The rest of a torn line stays on a line of its own.
            self.lines.push(b'\n');
        }
        for event in in_turns(events) {
            serde_json::to_writer(&mut self.lines, &**event).map_err(WriteError::new)?;
            self.lines.push(b'\n');
            self.ends.push(self.lines.len());
        }
        let result = write_counted(&mut self.writer, &self.lines);
        self.is_torn = match &result {
            Ok(()) => false,
            // Nothing was written, or what was is not known: what was torn before still may be.
            Err((None | Some(0), _)) => self.is_torn,
            Err((Some(bytes), _)) => !self.ends.contains(bytes),
        };
        if self.lines.capacity() > KEEP_BYTES {
            self.lines = Vec::new();
        }
        result.map_err(|(bytes, error)| {
            let whole_lines = self.ends.iter().filter(|end| bytes.is_some_and(|bytes| **end <= bytes)).count();
            let may_pass = bytes.is_some() && may_pass(error.kind());
            if may_pass { WriteError::retryable(error) } else { WriteError::new(error) }.after(whole_lines)
        })
    }
}

/// Whether a write that failed so may succeed later.
fn may_pass(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull, TimedOut, WouldBlock};
    matches!(kind, QuotaExceeded | StorageFull | TimedOut | WouldBlock)
}

/// `write_all` and `flush`; an error says how many bytes were surely written before, `None` when that is not known.
fn write_counted(writer: &mut impl Write, bytes: &[u8]) -> Result<(), (Option<usize>, io::Error)> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(0) => return Err((Some(bytes.len() - rest.len()), io::ErrorKind::WriteZero.into())),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((Some(bytes.len() - rest.len()), error)),
        }
    }
    writer.flush().map_err(|error| (None, error))
}
