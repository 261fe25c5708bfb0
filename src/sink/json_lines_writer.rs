use std::{fmt, io::Write, sync::Arc};

use crate::event::Event;

use super::{
    line_batch::LineBatch,
    queued::{BatchWriter, Queued, QueuedBuilder, WriteError},
};

/// The [`BatchWriter`] of [`JsonLinesSink::writer`](super::JsonLinesSink::writer).
///
/// For a file that log rotation may rename, use [`JsonLinesFile`](super::JsonLinesFile).
///
/// ```
/// use tower_tagging::sink::JsonLinesWriter;
///
/// let sink = JsonLinesWriter::new(std::io::stderr()).queued().capacity(1_000).drop_oldest().build();
/// ```
pub struct JsonLinesWriter<W> {
    writer: W,
    batch: LineBatch,
}

impl<W: Write + Send + 'static> JsonLinesWriter<W> {
    /// Creates a writer on top of any other, which does not need to be buffered.
    pub fn new(writer: W) -> Self {
        Self { writer, batch: LineBatch::default() }
    }

    /// Returns the builder of a [`Queued`] sink called `jsonl` with this writer.
    ///
    /// The defaults are those of [`Queued::new`], except that a batch has up to 64 events. Lines are cheap to write,
    /// and small batches stay in the CPU caches that the requests' threads and the writer share.
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
        self.batch.write(events, &mut self.writer, |error| error)
    }
}
