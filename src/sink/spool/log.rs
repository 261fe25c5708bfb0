use std::{
    cell::Cell,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::{
    event::Event,
    sink::{DropReason, SpoolReport, queued::backlog::Backlog},
    sync::lock,
};

use super::{
    checkpoint::Checkpoint,
    cursor::{Cursor, OpenSegment, Record},
    fsync::Fsync,
    position::Position,
    record,
    recovery::Recovered,
    segments::Segments,
    spool_error::SpoolError,
    spool_mode::SpoolMode,
    syncer::Syncer,
};

thread_local! {
    /// The buffer in which this thread encodes events.
    ///
    /// A request writes its event while its response ends. One buffer per thread saves an allocation for each event, and
    /// unlike a shared buffer it needs no lock while the event is encoded. Only its capacity outlives a write.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Maximum capacity of the buffer that a thread keeps for the next event, in bytes.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// A batch ends when its events take this many bytes on disk.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// The settings of a log.
pub(super) struct LogConfig {
    pub(super) directory: PathBuf,
    pub(super) mode: SpoolMode,
    pub(super) fsync: Fsync,
    pub(super) max_bytes: u64,
    pub(super) segment_bytes: u64,
}

/// An append-only log of events on disk, read from the front.
#[derive(Debug)]
pub(super) struct Log {
    mode: SpoolMode,
    segments: Segments,
    reader: Mutex<Reader>,
    recovered: u64,
    damaged: AtomicU64,
    /// Locked for as long as the log is open.
    _lock: File,
}

/// The state of the one thread that reads batches.
#[derive(Debug)]
struct Reader {
    checkpoint: Checkpoint,
    /// Everything before this position is delivered.
    committed: Position,
    /// The positions after each event of the last batch.
    ends: Vec<Position>,
    /// The position after everything that was read for the last batch, damage included.
    scanned: Position,
    open: Option<OpenSegment>,
}

impl Log {
    pub(super) fn open(config: LogConfig) -> Result<Self, SpoolError> {
        let LogConfig { directory, mode, fsync, max_bytes, segment_bytes } = config;
        fs::create_dir_all(&directory).map_err(SpoolError::context("create directory", &directory))?;
        let lock_file = lock_directory(&directory)?;
        let (checkpoint, position) = Checkpoint::open(&directory)?;
        let recovered = Recovered::read(&directory, position)?;
        let Recovered { committed, damaged, .. } = recovered;
        let syncer = Syncer::start(fsync, &directory)?;
        let segments = Segments::new(directory, max_bytes, segment_bytes, recovered, syncer);
        segments.delete(&segments.retire(committed));
        Ok(Self {
            mode,
            recovered: segments.waiting(),
            segments,
            reader: Mutex::new(Reader { checkpoint, committed, ends: Vec::new(), scanned: committed, open: None }),
            damaged: AtomicU64::new(damaged),
            _lock: lock_file,
        })
    }
}

/// Locks a directory against other processes until the file is dropped.
fn lock_directory(directory: &Path) -> Result<File, SpoolError> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(SpoolError::context("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(SpoolError::new("lock", &path, error)),
        Err(TryLockError::WouldBlock) => {
            let reason = "the spool is already open, use a separate directory for each sink and process";
            Err(SpoolError::new("lock", &path, io::Error::new(io::ErrorKind::ResourceBusy, reason)))
        }
    }
}

impl Backlog for Log {
    fn takes_all(&self) -> bool {
        self.mode == SpoolMode::Always
    }

    fn waiting(&self) -> u64 {
        self.segments.waiting()
    }

    fn is_full(&self) -> bool {
        self.segments.is_full()
    }

    fn append(&self, event: &Event) -> Result<(), DropReason> {
        if self.is_full() {
            return Err(DropReason::SpoolFull);
        }
        let mut buffer = BUFFER.take();
        record::begin(&mut buffer);
        let is_encoded = serde_json::to_writer(&mut buffer, event).is_ok() && record::end(&mut buffer);
        let result = if is_encoded { self.segments.append(&buffer) } else { Err(DropReason::SpoolFailed) };
        if buffer.capacity() <= MAX_KEPT_BYTES {
            BUFFER.set(buffer);
        }
        result
    }

    fn read(&self, batch: &mut Vec<Arc<Event>>, max: usize) -> u64 {
        let mut guard = lock(&self.reader);
        let Reader { committed, ends, scanned, open, .. } = &mut *guard;
        ends.clear();
        let mut cursor = Cursor::new(&self.segments, open, *committed);
        while batch.len() < max && cursor.bytes() < MAX_BATCH_BYTES {
            match cursor.next_record() {
                Ok(Some(Record::Event(event))) => {
                    batch.push(event);
                    ends.push(cursor.position());
                }
                Ok(Some(Record::Damaged)) => {}
                Ok(None) => break,
                Err(error) => {
                    let path = self.segments.path(cursor.position().segment);
                    let path = path.display();
                    tracing::debug!(target: "tower_tagging::delivery", %path, %error, "spool read failed, retrying");
                    break;
                }
            }
        }
        *scanned = cursor.position();
        let lost = cursor.lost();
        self.damaged.fetch_add(cursor.damaged(), SeqCst);
        self.segments.subtract_waiting(lost);
        drop(guard);
        if batch.is_empty() {
            self.commit(0);
        }
        lost
    }

    fn commit(&self, events: usize) {
        let mut reader = lock(&self.reader);
        let Some(position) = reader.position_after(events) else { return };
        reader.committed = position;
        // If this fails, the next process delivers the events again.
        let _ = reader.checkpoint.write(position);
        self.segments.subtract_waiting(events.min(reader.ends.len()) as u64);
        reader.ends.clear();
        let retired = self.segments.retire(position);
        reader.open.take_if(|open| retired.contains(&open.number()));
        drop(reader);
        self.segments.delete(&retired);
    }

    fn report(&self) -> SpoolReport {
        SpoolReport {
            written: self.segments.written(),
            recovered: self.recovered,
            waiting: self.segments.waiting(),
            bytes: self.segments.bytes(),
            damaged: self.damaged.load(SeqCst),
        }
    }
}

impl Reader {
    /// Returns the position to commit after the first `events` of the last batch.
    fn position_after(&self, events: usize) -> Option<Position> {
        match self.ends.get(..events) {
            Some(ends) if events < self.ends.len() => ends.last().copied(),
            _ => Some(self.scanned),
        }
    }
}
