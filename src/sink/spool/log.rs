use std::{
    cell::RefCell,
    collections::VecDeque,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::{
    event::Event,
    sink::{DropReason, SpoolReport, queued::backlog::Backlog},
};

use super::{
    Fsync, SpoolMode,
    record::{self, Found, HEAD_BYTES, SegmentReader},
    sync::Syncer,
};

/// The log on disk; see the [module](super).
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    mode: SpoolMode,
    max_bytes: u64,
    segment_bytes: u64,
    segments: Mutex<Segments>,
    reader: Mutex<Reader>,
    syncer: Syncer,
    waiting: AtomicU64,
    bytes: AtomicU64,
    written: AtomicU64,
    recovered: u64,
    damaged: AtomicU64,
    /// The first file of this process; what is damaged in those before was counted when the log was opened.
    first_own: u64,
    /// Held for as long as the log is open.
    _lock: File,
}

/// One file of the log.
#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    length: u64,
    /// Records that were written to it, or found in it when the log was opened.
    records: u64,
}

/// The files, oldest first. Events are appended to the last one, while it is open.
#[derive(Debug)]
struct Segments {
    list: VecDeque<Segment>,
    open: Option<Arc<File>>,
    next_number: u64,
}

/// Everything before it was committed.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    segment: u64,
    offset: u64,
    /// Records of the segment that lie before it.
    records: u64,
}

#[derive(Debug)]
struct Reader {
    committed: Position,
    /// Behind each event of the last batch, and behind all that was looked at for it.
    ends: Vec<Position>,
    scanned: Position,
    segment: Option<(u64, SegmentReader)>,
    cursor: File,
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Largest buffer that a thread keeps for the next event, in bytes.
const KEEP_BYTES: usize = 64 * 1024;
/// A batch is large enough when its records take so many bytes.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Less than any record takes.
const SHORTEST_BYTES: u64 = 256;
/// A file is given up early when all that is in it was committed and it has grown to this size.
const RETIRE_BYTES: u64 = 1024 * 1024;
/// Segment and offset of the cursor, and their CRC-32.
const CURSOR_BYTES: usize = 20;

impl Log {
    pub(super) fn open(
        folder: PathBuf,
        mode: SpoolMode,
        fsync: Fsync,
        max_bytes: u64,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        lock.try_lock().map_err(|problem| match problem {
            TryLockError::WouldBlock => {
                let message = "the spool is open in another place";
                io::Error::new(io::ErrorKind::ResourceBusy, message)
            }
            TryLockError::Error(problem) => problem,
        })?;
        let cursor = folder.join("cursor");
        let mut cursor = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(cursor)?;
        let (list, committed, damaged) = recover(&folder, read_cursor(&mut cursor)?)?;
        let recovered = list.iter().map(|segment| segment.records).sum();
        let next_number = list.last().map_or(committed.segment, |last| last.number) + 1;
        let log = Self {
            first_own: next_number,
            mode,
            max_bytes,
            // Files are deleted whole, so that one must not be all there is room for.
            segment_bytes: segment_bytes.min(max_bytes / 2),
            waiting: AtomicU64::new(recovered),
            bytes: AtomicU64::new(list.iter().map(|segment| segment.length).sum()),
            written: AtomicU64::new(0),
            recovered,
            damaged: AtomicU64::new(damaged),
            syncer: Syncer::start(fsync, &folder)?,
            segments: Mutex::new(Segments { next_number, list: list.into(), open: None }),
            reader: Mutex::new(Reader { committed, ends: Vec::new(), scanned: committed, segment: None, cursor }),
            folder,
            _lock: lock,
        };
        let retired = log.retire(&mut log.segments(), committed);
        log.delete(retired);
        Ok(log)
    }

    fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a whole record.
    fn write(&self, record: &[u8]) -> Result<(), DropReason> {
        let length = record.len() as u64;
        let mut segments = self.segments();
        if self.bytes.load(SeqCst) + length > self.max_bytes {
            return Err(DropReason::SpoolFull);
        }
        let is_full = |last: &Segment| last.length > 0 && last.length + length > self.segment_bytes;
        if segments.list.back().is_some_and(is_full) {
            segments.open = None;
        }
        let file = match &segments.open {
            Some(file) => Arc::clone(file),
            None => self.begin_segment(&mut segments).map_err(|problem| self.failed("begun", &problem))?,
        };
        if let Err(problem) = (&*file).write_all(record) {
            // A part of it may stand there. If it can't be taken back, the reader skips it, and a new file is begun.
            let known = segments.list.back().map_or(0, |last| last.length);
            if file.set_len(known).is_err() {
                segments.open = None;
                if let (Some(last), Ok(metadata)) = (segments.list.back_mut(), file.metadata()) {
                    self.bytes.fetch_add(metadata.len().saturating_sub(last.length), SeqCst);
                    last.length = metadata.len();
                }
            }
            return Err(self.failed("written", &problem));
        }
        if let Some(last) = segments.list.back_mut() {
            last.length += length;
            last.records += 1;
        }
        self.bytes.fetch_add(length, SeqCst);
        self.written.fetch_add(1, SeqCst);
        self.waiting.fetch_add(1, SeqCst);
        drop(segments);
        self.syncer.wrote();
        Ok(())
    }

    fn begin_segment(&self, segments: &mut Segments) -> io::Result<Arc<File>> {
        let number = segments.next_number;
        let path = segment_path(&self.folder, number);
        let file = Arc::new(OpenOptions::new().create_new(true).append(true).open(path)?);
        segments.next_number += 1;
        segments.list.push_back(Segment { number, length: 0, records: 0 });
        segments.open = Some(Arc::clone(&file));
        self.syncer.opened(Arc::clone(&file));
        Ok(file)
    }

    fn failed(&self, what: &str, problem: &io::Error) -> DropReason {
        // The subscriber is the user's code, and may panic.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            tracing::debug!(
                target: "tower_tagging::delivery",
                folder = %self.folder.display(),
                %problem,
                "a file of the spool could not be {what}"
            );
        }));
        DropReason::SpoolFailed
    }

    /// Takes the files off the list that hold nothing behind the position. They are to be deleted without the lock.
    fn retire(&self, segments: &mut Segments, position: Position) -> Vec<u64> {
        let mut retired = Vec::new();
        while let Some(first) = segments.list.front().copied() {
            let is_last = segments.list.len() == 1;
            let is_open = is_last && segments.open.is_some();
            let is_done = first.number < position.segment
                || (first.number == position.segment && first.length <= position.offset);
            if !is_done || (is_open && first.length < RETIRE_BYTES.min(self.segment_bytes)) {
                break;
            }
            if is_open {
                segments.open = None;
            }
            segments.list.pop_front();
            self.bytes.fetch_sub(first.length, SeqCst);
            retired.push(first.number);
        }
        retired
    }

    /// What can't be deleted now is deleted when the log is opened next.
    fn delete(&self, retired: Vec<u64>) {
        for number in retired {
            let _ = fs::remove_file(segment_path(&self.folder, number));
        }
    }
}

impl Backlog for Log {
    fn takes_all(&self) -> bool {
        self.mode == SpoolMode::Always
    }

    fn waiting(&self) -> u64 {
        self.waiting.load(SeqCst)
    }

    fn is_full(&self) -> bool {
        // No event is shorter: a log that is full costs a request next to nothing.
        self.bytes.load(SeqCst) + SHORTEST_BYTES > self.max_bytes
    }

    fn append(&self, event: &Event) -> Result<(), DropReason> {
        if self.is_full() {
            return Err(DropReason::SpoolFull);
        }
        BUFFER.with_borrow_mut(|buffer| {
            record::begin(buffer);
            if serde_json::to_writer(&mut *buffer, event).is_err() || !record::end(buffer) {
                return Err(DropReason::SpoolFailed);
            }
            let result = self.write(buffer);
            if buffer.capacity() > KEEP_BYTES {
                *buffer = Vec::new();
            }
            result
        })
    }

    fn read(&self, batch: &mut Vec<Arc<Event>>, max: usize) -> u64 {
        let mut guard = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = &mut *guard;
        reader.ends.clear();
        let mut at = reader.committed;
        let mut lost = 0;
        let mut bytes = 0;
        let has_room = |batch: &Vec<Arc<Event>>, bytes: usize| batch.len() < max && bytes < BATCH_BYTES;
        // Every pass is over one segment.
        while has_room(batch, bytes) {
            // What is known of the segment, and whether there are others behind it, is of one moment.
            let found = {
                let segments = self.segments();
                let last = segments.list.back().map(|last| last.number);
                let next = segments.list.iter().copied().find(|segment| segment.number >= at.segment);
                next.map(|segment| (segment, last == Some(segment.number)))
            };
            let Some((segment, is_last)) = found else { break };
            if segment.number > at.segment {
                at = Position { segment: segment.number, offset: 0, records: 0 };
            }
            let mut is_over = false;
            let mut failure = None;
            match open_segment(&mut reader.segment, &self.folder, segment, at.offset) {
                Ok(file) => {
                    while has_room(batch, bytes) && !is_over && failure.is_none() {
                        match file.next() {
                            Ok(Found::Event(record)) => {
                                let event = serde_json::from_slice::<Event>(record);
                                bytes += record.len();
                                at.offset = file.offset();
                                if let Ok(event) = event {
                                    at.records += 1;
                                    batch.push(Arc::new(event));
                                    reader.ends.push(at);
                                } else {
                                    self.damaged.fetch_add(1, SeqCst);
                                }
                            }
                            Ok(Found::Damage) => {
                                self.damaged.fetch_add(u64::from(segment.number >= self.first_own), SeqCst);
                                at.offset = file.offset();
                            }
                            Ok(Found::End) => is_over = true,
                            Err(problem) => failure = Some(problem),
                        }
                    }
                }
                Err(problem) => failure = Some(problem),
            }
            if let Some(problem) = failure {
                reader.segment = None;
                // What is gone is lost; anything else may pass, and is tried again.
                if !matches!(problem.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) {
                    self.failed("read", &problem);
                    break;
                }
                self.damaged.fetch_add(1, SeqCst);
                is_over = true;
            }
            if !is_over {
                break;
            }
            // All of it was looked at: what was not found is lost.
            lost += segment.records.saturating_sub(at.records);
            if is_last {
                at = Position { offset: segment.length, records: segment.records.max(at.records), ..at };
                break;
            }
            at = Position { segment: segment.number + 1, offset: 0, records: 0 };
        }
        reader.scanned = at;
        self.waiting.fetch_sub(lost, SeqCst);
        drop(guard);
        if batch.is_empty() {
            self.commit(0);
        }
        lost
    }

    fn commit(&self, events: usize) {
        let mut guard = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = &mut *guard;
        let position = match reader.ends.get(..events) {
            Some(ends) if events < reader.ends.len() => ends.last().copied(),
            _ => Some(reader.scanned),
        };
        let Some(position) = position else { return };
        reader.committed = position;
        // Where it can't be written, events are delivered a second time by the next process.
        let _ = write_cursor(&mut reader.cursor, position);
        self.waiting.fetch_sub(events.min(reader.ends.len()) as u64, SeqCst);
        reader.ends.clear();
        let mut segments = self.segments();
        let retired = self.retire(&mut segments, position);
        let is_there = |number: u64| segments.list.iter().any(|segment| segment.number == number);
        if reader.segment.as_ref().is_some_and(|(number, _)| !is_there(*number)) {
            reader.segment = None;
        }
        drop(segments);
        drop(guard);
        self.delete(retired);
    }

    fn report(&self) -> SpoolReport {
        SpoolReport {
            written: self.written.load(SeqCst),
            recovered: self.recovered,
            waiting: self.waiting(),
            bytes: self.bytes.load(SeqCst),
            damaged: self.damaged.load(SeqCst),
        }
    }
}

/// The reader of a segment, which goes on where the last batch ended if it can.
fn open_segment<'a>(
    at_hand: &'a mut Option<(u64, SegmentReader)>,
    folder: &Path,
    segment: Segment,
    offset: u64,
) -> io::Result<&'a mut SegmentReader> {
    let goes_on = |(number, reader): &(u64, SegmentReader)| *number == segment.number && reader.offset() == offset;
    let reader = match at_hand.take().filter(goes_on) {
        Some((_, reader)) => reader,
        None => SegmentReader::new(File::open(segment_path(folder, segment.number))?, offset, segment.length),
    };
    let (_, reader) = at_hand.insert((segment.number, reader));
    reader.set_length(segment.length);
    Ok(reader)
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.log"))
}

/// The files that an earlier process left, and where its events begin; how many places were damaged.
fn recover(folder: &Path, cursor: Option<Position>) -> io::Result<(Vec<Segment>, Position, u64)> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    let mut committed = cursor.unwrap_or_default();
    if committed.segment < numbers.first().copied().unwrap_or(0) {
        committed = Position { segment: numbers.first().copied().unwrap_or(0), offset: 0, records: 0 };
    }
    let mut damaged = 0;
    let mut list = Vec::new();
    for number in numbers {
        let path = segment_path(folder, number);
        if number < committed.segment {
            fs::remove_file(path)?;
            continue;
        }
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let offset = if number == committed.segment { committed.offset.min(length) } else { 0 };
        let mut reader = SegmentReader::new(file, offset, length);
        let mut records = 0;
        loop {
            match reader.next()? {
                Found::Event(_) => records += 1,
                Found::Damage => damaged += 1,
                Found::End => break,
            }
        }
        list.push(Segment { number, length, records });
    }
    // What was found is counted from here.
    committed.records = 0;
    Ok((list, committed, damaged))
}

fn read_cursor(file: &mut File) -> io::Result<Option<Position>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let Ok(bytes) = <[u8; CURSOR_BYTES]>::try_from(bytes) else { return Ok(None) };
    let (position, crc) = bytes.split_at(CURSOR_BYTES - 4);
    if crc != crc32fast::hash(position).to_le_bytes() {
        return Ok(None);
    }
    let number = |at: usize| position.get(at..at + 8).and_then(|part| part.try_into().ok()).map(u64::from_le_bytes);
    Ok(number(0).zip(number(8)).map(|(segment, offset)| Position { segment, offset, records: 0 }))
}

fn write_cursor(file: &mut File, position: Position) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(CURSOR_BYTES);
    bytes.extend_from_slice(&position.segment.to_le_bytes());
    bytes.extend_from_slice(&position.offset.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)
}

const _: () = assert!(HEAD_BYTES == 12, "the format of records is on users' disks");
