use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::{sink::file_identity::is_at, sync::lock};

use super::{
    position::Position,
    recovery::{Recovered, segment_numbers},
    segment::{Segment, segment_path},
    spool_error::SpoolError,
    syncer::Syncer,
};

/// A segment that holds nothing undelivered is deleted before it is full, once it has this size in bytes.
const RETIRE_BYTES: u64 = 1024 * 1024;

/// A lower bound of the size of any record, in bytes.
const MIN_RECORD_BYTES: u64 = 256;

/// The reason that a record was not appended.
#[derive(Debug)]
pub(super) enum Refused {
    /// The log has reached its size limit.
    Full,
    /// The directory is gone. The worker restores it, because files have to be copied.
    Detached,
    Failed(SpoolError),
}

impl From<SpoolError> for Refused {
    fn from(error: SpoolError) -> Self {
        Self::Failed(error)
    }
}

/// The files of the log and the counts of their content.
///
/// Records are appended from many threads, read by one [`Cursor`](super::cursor::Cursor), and deleted a segment at a time.
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    max_bytes: u64,
    segment_bytes: u64,
    state: Mutex<State>,
    syncer: Syncer,
    /// The number of the first segment of this process.
    first_own: u64,
    // Incremented only while `state` is locked, so that a reader never subtracts a record before it was added.
    waiting: AtomicU64,
    bytes: AtomicU64,
    written: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// All segments, oldest first.
    list: VecDeque<Segment>,
    /// The file of the last segment, while records are appended to it.
    open: Option<Arc<File>>,
    next_number: u64,
}

impl Segments {
    pub(super) fn new(
        directory: PathBuf,
        max_bytes: u64,
        segment_bytes: u64,
        recovered: Recovered,
        syncer: Syncer,
    ) -> Self {
        let Recovered { segments, committed, .. } = recovered;
        let next_number = segments.last().map_or(committed.segment, |last| last.number) + 1;
        Self {
            directory,
            max_bytes,
            // Segments are deleted as a whole, so the spool must have room for more than one.
            segment_bytes: segment_bytes.min(max_bytes / 2),
            syncer,
            first_own: next_number,
            waiting: AtomicU64::new(segments.iter().map(|segment| segment.records).sum()),
            bytes: AtomicU64::new(segments.iter().map(|segment| segment.length).sum()),
            written: AtomicU64::new(0),
            state: Mutex::new(State { next_number, list: segments.into(), open: None }),
        }
    }

    /// Returns the number of records that are not delivered.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(SeqCst)
    }

    /// Returns the total size of the files, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(SeqCst)
    }

    /// Returns the number of records that this process has written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(SeqCst)
    }

    /// Returns `true` if there is no room for any record. The check is cheap, so a full log costs a request nothing.
    pub(super) fn is_full(&self) -> bool {
        self.bytes() + MIN_RECORD_BYTES > self.max_bytes
    }

    /// Returns `true` if an earlier process wrote the segment. Its damage was counted when the log was opened.
    pub(super) fn is_recovered(&self, number: u64) -> bool {
        number < self.first_own
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        segment_path(&self.directory, number)
    }

    /// Returns the first segment at or after a number, and whether it is the last segment at this moment.
    pub(super) fn at_or_after(&self, number: u64) -> Option<(Segment, bool)> {
        let state = lock(&self.state);
        let segment = state.list.iter().copied().find(|segment| segment.number >= number)?;
        let is_last = state.list.back().is_some_and(|last| last.number == segment.number);
        Some((segment, is_last))
    }

    /// Appends a complete record.
    pub(super) fn append(&self, record: &[u8]) -> Result<(), Refused> {
        let length = record.len() as u64;
        let mut state = lock(&self.state);
        if self.bytes() + length > self.max_bytes {
            return Err(Refused::Full);
        }
        if state.list.back().is_some_and(|last| last.length > 0 && last.length + length > self.segment_bytes) {
            state.open = None;
        }
        let result = self.open_file(&mut state).and_then(|file| self.write(&mut state, &file, record));
        result.map_err(Refused::Failed)?;
        self.bytes.fetch_add(length, SeqCst);
        self.written.fetch_add(1, SeqCst);
        self.waiting.fetch_add(1, SeqCst);
        drop(state);
        self.syncer.wrote();
        Ok(())
    }

    /// Returns the file of the last segment, or creates a new segment if none is open.
    fn open_file(&self, state: &mut State) -> Result<Arc<File>, SpoolError> {
        if let Some(file) = &state.open {
            return Ok(Arc::clone(file));
        }
        let number = state.next_number;
        let path = self.path(number);
        let file = Arc::new(create_segment(&path).map_err(SpoolError::context("create", &path))?);
        state.next_number += 1;
        state.list.push_back(Segment { number, length: 0, records: 0 });
        state.open = Some(Arc::clone(&file));
        self.syncer.opened(Arc::clone(&file));
        Ok(file)
    }

    /// Writes a record to the last segment.
    fn write(&self, state: &mut State, mut file: &File, record: &[u8]) -> Result<(), SpoolError> {
        let Some(last) = state.list.back_mut() else {
            return Err(SpoolError::new("write to", &self.directory, ErrorKind::NotFound.into()));
        };
        let Err(error) = file.write_all(record) else {
            last.length += record.len() as u64;
            last.records += 1;
            return Ok(());
        };
        let number = last.number;
        // Part of the record may have been written.
        self.cut(state, file);
        Err(SpoolError::new("write to", &self.path(number), error))
    }

    /// Removes bytes after the last record. If that fails, a new segment is started, and the reader skips the remains.
    fn cut(&self, state: &mut State, file: &File) {
        let Some(last) = state.list.back_mut() else { return };
        if file.set_len(last.length).is_err() {
            state.open = None;
            if let Ok(metadata) = file.metadata() {
                self.bytes.fetch_add(metadata.len().saturating_sub(last.length), SeqCst);
                last.length = metadata.len();
            }
        }
    }

    /// Tries to write a number of bytes, without an effect on the content.
    pub(super) fn probe(&self, bytes: u64) -> Result<(), SpoolError> {
        let mut state = lock(&self.state);
        let file = self.open_file(&mut state)?;
        let result = io::copy(&mut io::repeat(0).take(bytes), &mut &*file);
        self.cut(&mut state, &file);
        result.map(drop).map_err(SpoolError::context("write to", &self.directory))
    }

    /// Returns `false` if the file that records are appended to was removed or renamed.
    pub(super) fn is_open_file_present(&self) -> bool {
        let state = lock(&self.state);
        match (&state.open, state.list.back()) {
            (Some(file), Some(last)) => is_at(file, &self.path(last.number)),
            _ => true,
        }
    }

    /// Writes the last segment to a new file if its own was removed or renamed, and appends to that from now on.
    ///
    /// Returns the number of the segment if its file was replaced. A reader must open it again.
    ///
    /// The lock is not held while the file is copied, because requests would wait for it.
    pub(super) fn restore_open_file(&self, committed: Position) -> Result<Option<u64>, SpoolError> {
        let Some((file, last)) = self.removed_file(committed) else { return Ok(None) };
        let path = self.path(last.number);
        let failed = SpoolError::context("restore", &path);
        let restored = match create_segment(&path) {
            Ok(restored) => Arc::new(restored),
            Err(error) => return Err(failed(error)),
        };
        let result = copy(&file, &restored, 0, last.length).and_then(|()| {
            let mut state = lock(&self.state);
            let segment = state.list.iter().find(|segment| segment.number == last.number);
            // Few records were appended meanwhile, if any.
            copy(&file, &restored, last.length, segment.map_or(last.length, |segment| segment.length))?;
            if state.open.as_ref().is_some_and(|open| Arc::ptr_eq(open, &file)) {
                state.open = Some(Arc::clone(&restored));
                self.syncer.opened(Arc::clone(&restored));
            }
            Ok(())
        });
        if let Err(error) = result {
            let _ = fs::remove_file(&path);
            return Err(failed(error));
        }
        Ok(Some(last.number))
    }

    /// Returns `true` if the last segment has records after the position whose file was removed or renamed.
    pub(super) fn has_removed_records(&self, committed: Position) -> bool {
        self.removed_file(committed).is_some()
    }

    /// Returns the last segment and its file if that was removed or renamed, and has records after the position.
    ///
    /// If it has none, it is not appended to anymore.
    fn removed_file(&self, committed: Position) -> Option<(Arc<File>, Segment)> {
        let mut state = lock(&self.state);
        let (file, last) = (state.open.clone()?, state.list.back().copied()?);
        if is_at(&file, &self.path(last.number)) {
            return None;
        }
        if last.number < committed.segment || (last.number == committed.segment && last.length <= committed.offset) {
            state.open = None;
            return None;
        }
        Some((file, last))
    }

    /// Returns `true` if the directory has a segment that another process wrote.
    pub(super) fn has_foreign_segments(&self) -> io::Result<bool> {
        let state = lock(&self.state);
        let last = state.list.back().map(|last| last.number);
        let is_foreign = |number: u64| match &state.open {
            Some(file) if Some(number) == last => !is_at(file, &self.path(number)),
            _ => state.list.iter().all(|segment| segment.number != number),
        };
        Ok(segment_numbers(&self.directory)?.into_iter().any(is_foreign))
    }

    /// Opens a segment for reading.
    pub(super) fn open_for_reading(&self, number: u64) -> io::Result<File> {
        #[cfg(unix)]
        {
            let state = lock(&self.state);
            if let (Some(file), Some(last)) = (&state.open, state.list.back())
                && last.number == number
            {
                // Without a name, the file can still be read as long as it is open.
                return file.try_clone();
            }
        }
        File::open(self.path(number))
    }

    /// Subtracts records that were delivered or lost.
    pub(super) fn subtract_waiting(&self, records: u64) {
        self.waiting.fetch_sub(records, SeqCst);
    }

    /// Removes the segments that hold nothing after the position and returns their numbers. The caller then
    /// [deletes](Self::delete) their files.
    pub(super) fn retire(&self, position: Position) -> Vec<u64> {
        let mut state = lock(&self.state);
        let mut retired = Vec::new();
        while let Some(first) = state.list.front().copied() {
            let is_open = state.list.len() == 1 && state.open.is_some();
            let is_done = first.number < position.segment
                || (first.number == position.segment && first.length <= position.offset);
            if !is_done || (is_open && first.length < RETIRE_BYTES.min(self.segment_bytes)) {
                break;
            }
            if is_open {
                state.open = None;
            }
            state.list.pop_front();
            self.bytes.fetch_sub(first.length, SeqCst);
            retired.push(first.number);
        }
        retired
    }

    /// Deletes the files of retired segments. A file that cannot be deleted now is deleted when the log is opened again.
    pub(super) fn delete(&self, retired: &[u64]) {
        for number in retired {
            let _ = fs::remove_file(self.path(*number));
        }
    }
}

/// Creates the file of a segment. It can also be read, so that its content survives the removal of its name.
fn create_segment(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).read(true).append(true).open(path)
}

/// Appends the bytes of a file from one offset to another to a second file.
fn copy(mut from: &File, mut to: &File, start: u64, end: u64) -> io::Result<()> {
    from.seek(SeekFrom::Start(start))?;
    let length = end - start;
    match io::copy(&mut from.take(length), &mut to)? {
        copied if copied == length => Ok(()),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}
