use std::{
    cell::Cell,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use crate::{
    event::Event,
    sink::{
        DropReason, SpoolReport,
        queued::backlog::{Backlog, Problem},
    },
    sync::lock,
};

use super::{
    checkpoint::Checkpoint,
    cursor::{Cursor, OpenSegment, Record},
    fsync::Fsync,
    position::Position,
    record,
    recovery::Recovered,
    segments::{Refused, Segments},
    spool_directory::SpoolDirectory,
    spool_error::SpoolError,
    spool_health::SpoolHealth,
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

/// The fewest bytes that are written to find out if a disk has room again.
const MIN_PROBE_BYTES: u64 = 4096;

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
    health: SpoolHealth,
    directory: SpoolDirectory,
    /// The directory is gone, so that files that are still open do not survive the process.
    is_detached: AtomicBool,
    /// A problem was found that the worker has not tried to end.
    is_repair_due: AtomicBool,
    /// The length of the longest record that was refused since the last write, in bytes.
    refused_bytes: AtomicU64,
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
        let directory = SpoolDirectory::open(&directory)?;
        let path = directory.path();
        let (checkpoint, position) = Checkpoint::open(path)?;
        let recovered = Recovered::read(path, position)?;
        let Recovered { committed, damaged, .. } = recovered;
        let syncer = Syncer::start(fsync, path)?;
        let segments = Segments::new(path.to_owned(), max_bytes, segment_bytes, recovered, syncer);
        segments.delete(&segments.retire(committed));
        Ok(Self {
            mode,
            recovered: segments.waiting(),
            segments,
            reader: Mutex::new(Reader { checkpoint, committed, ends: Vec::new(), scanned: committed, open: None }),
            damaged: AtomicU64::new(damaged),
            health: SpoolHealth::default(),
            directory,
            is_detached: AtomicBool::new(false),
            is_repair_due: AtomicBool::new(false),
            refused_bytes: AtomicU64::new(0),
        })
    }

    /// Encodes and appends an event. See [`restore`](Self::restore) for `may_copy`.
    fn write(&self, event: &Event, may_copy: bool) -> Result<(), DropReason> {
        if self.is_full() {
            return Err(DropReason::SpoolFull);
        }
        let mut buffer = BUFFER.take();
        record::begin(&mut buffer);
        let is_encoded = serde_json::to_writer(&mut buffer, event).is_ok() && record::end(&mut buffer);
        let result = if is_encoded { Some(self.append_record(&buffer, may_copy)) } else { None };
        if buffer.capacity() <= MAX_KEPT_BYTES {
            BUFFER.set(buffer);
        }
        match result {
            Some(Ok(())) => {
                self.note_write();
                Ok(())
            }
            Some(Err(refused)) => Err(self.note_refusal(refused)),
            // The event is too long for any spool.
            None => Err(DropReason::SpoolFailed),
        }
    }

    /// Appends a record, once its directory is certainly there.
    fn append_record(&self, record: &[u8], may_copy: bool) -> Result<(), Refused> {
        // A directory that could not be restored is tried again for each record.
        if self.directory.is_check_due() || !self.health.is_writable() || self.is_detached.load(SeqCst) {
            self.restore(may_copy)?;
        }
        let result = self.segments.append(record);
        if let Err(Refused::Failed(_)) = &result {
            self.refused_bytes.fetch_max(record.len() as u64, SeqCst);
        }
        result
    }

    /// Creates the directory again if it was removed, renamed, or replaced, with the files that are still open.
    ///
    /// Delivered events stay delivered for the next process. Events in segments that are complete, and therefore not
    /// open, are lost with the directory. Without `may_copy`, a directory that cannot be restored at little cost is left to
    /// the next repair.
    fn restore(&self, may_copy: bool) -> Result<(), Refused> {
        if !may_copy && self.is_detached.load(SeqCst) && self.is_repair_due.load(SeqCst) {
            return Err(Refused::Detached);
        }
        if !self.is_attached() {
            // Requests keep their events in memory meanwhile.
            self.is_detached.store(true, SeqCst);
            if let Err(refused) = self.create_again(may_copy) {
                if matches!(refused, Refused::Detached) {
                    self.health.detached(self.directory.path());
                    self.is_repair_due.store(true, SeqCst);
                }
                return Err(refused);
            }
        }
        self.is_detached.store(false, SeqCst);
        Ok(())
    }

    fn is_attached(&self) -> bool {
        self.directory.is_present() && self.segments.is_open_file_present()
    }

    fn create_again(&self, may_copy: bool) -> Result<(), Refused> {
        let reader = if may_copy { Some(lock(&self.reader)) } else { try_lock(&self.reader) };
        // The worker reads, or restores the directory.
        let Some(mut reader) = reader else { return Err(Refused::Detached) };
        // Another thread may have done it meanwhile.
        if self.is_attached() {
            return Ok(());
        }
        let locked = if self.directory.is_present() { None } else { Some(self.directory.create()?) };
        let path = self.directory.path();
        if self.segments.has_foreign_segments().map_err(SpoolError::context("list directory", path))? {
            let reason = "the directory has events of another process";
            return Err(SpoolError::new("use", path, io::Error::new(io::ErrorKind::ResourceBusy, reason)).into());
        }
        let (mut checkpoint, _) = Checkpoint::open(path)?;
        checkpoint.write(reader.committed).map_err(SpoolError::context("write to", path))?;
        reader.checkpoint = checkpoint;
        if let Some(locked) = locked {
            self.directory.adopt(locked);
        }
        if !may_copy && self.segments.has_removed_records(reader.committed) {
            return Err(Refused::Detached);
        }
        if let Some(restored) = self.segments.restore_open_file(reader.committed)? {
            reader.open.take_if(|open| open.number() == restored);
        }
        drop(reader);
        tracing::warn!(
            target: "tower_tagging::delivery",
            directory = %path.display(),
            waiting = self.segments.waiting(),
            "spool directory was removed and is created again, events in its complete files may be lost"
        );
        Ok(())
    }

    /// Records that a write has succeeded.
    fn note_write(&self) {
        if !self.health.is_writable() {
            self.refused_bytes.store(0, SeqCst);
        }
        self.health.wrote(self.directory.path());
    }

    /// Records that a write was refused.
    fn note_refusal(&self, refused: Refused) -> DropReason {
        match refused {
            Refused::Full => return DropReason::SpoolFull,
            Refused::Detached => {}
            Refused::Failed(error) => self.health.write_failed(self.directory.path(), error.cause()),
        }
        DropReason::SpoolFailed
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
        self.write(event, false)
    }

    fn repair_and_append(&self, event: &Event) -> Result<(), DropReason> {
        self.write(event, true)
    }

    fn read(&self, batch: &mut Vec<Arc<Event>>, max: usize) -> u64 {
        let mut guard = lock(&self.reader);
        let Reader { committed, ends, scanned, open, .. } = &mut *guard;
        ends.clear();
        let mut cursor = Cursor::new(&self.segments, open, *committed);
        let result = loop {
            if batch.len() >= max || cursor.bytes() >= MAX_BATCH_BYTES {
                break Ok(());
            }
            match cursor.next_record() {
                Ok(Some(Record::Event(event))) => {
                    batch.push(event);
                    ends.push(cursor.position());
                }
                Ok(Some(Record::Damaged)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match result {
            Ok(()) => self.health.read(self.directory.path()),
            Err(error) => self.health.read_failed(self.directory.path(), &error),
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
        if self.segments.waiting() == 0 {
            // No event needs the file that could not be read.
            self.health.read(self.directory.path());
        }
        reader.ends.clear();
        let retired = self.segments.retire(position);
        reader.open.take_if(|open| retired.contains(&open.number()));
        drop(reader);
        self.segments.delete(&retired);
    }

    fn is_writable(&self) -> bool {
        self.health.is_writable()
    }

    fn problem(&self) -> Option<Problem> {
        self.health.problem(self.directory.path())
    }

    fn check(&self) {
        match self.restore(false) {
            Err(refused) => {
                let _ = self.note_refusal(refused);
            }
            // The worker tries to write.
            Ok(()) if !self.health.is_writable() => self.is_repair_due.store(true, SeqCst),
            Ok(()) => {}
        }
    }

    fn is_repair_due(&self) -> bool {
        self.is_repair_due.load(SeqCst)
    }

    fn repair(&self) {
        self.is_repair_due.store(false, SeqCst);
        let bytes = self.refused_bytes.load(SeqCst).max(MIN_PROBE_BYTES);
        let result = match self.restore(true) {
            Ok(()) if self.health.is_writable() => return,
            Ok(()) => self.segments.probe(bytes).map_err(Refused::Failed),
            Err(refused) => Err(refused),
        };
        match result {
            Ok(()) => self.note_write(),
            Err(refused) => {
                let _ = self.note_refusal(refused);
            }
        }
    }

    fn recoveries(&self) -> u64 {
        self.health.recoveries()
    }

    fn report(&self) -> SpoolReport {
        SpoolReport {
            written: self.segments.written(),
            recovered: self.recovered,
            waiting: if self.is_detached.load(SeqCst) { 0 } else { self.segments.waiting() },
            bytes: self.segments.bytes(),
            damaged: self.damaged.load(SeqCst),
        }
    }
}

/// Returns `None` if the lock is held.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
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
