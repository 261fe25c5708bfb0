use std::{io, sync::Arc};

use crate::event::Event;

use super::{
    position::Position,
    segment::Segment,
    segment_reader::{Found, SegmentReader},
    segments::Segments,
};

/// The segment that was read last, with its file and buffer. It is kept between batches.
#[derive(Debug)]
pub(super) struct OpenSegment {
    number: u64,
    reader: SegmentReader,
}

impl OpenSegment {
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

/// One record of the log.
#[derive(Debug)]
pub(super) enum Record {
    Event(Arc<Event>),
    /// A place that holds no readable event.
    Damaged,
}

/// Reads records in order across all segments.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    segments: &'a Segments,
    open: &'a mut Option<OpenSegment>,
    position: Position,
    /// The current segment as it was when the cursor entered it, and whether it was the last one.
    current: Option<(Segment, bool)>,
    bytes: usize,
    damaged: u64,
    lost: u64,
}

impl<'a> Cursor<'a> {
    /// Creates a cursor that starts at a position.
    pub(super) fn new(segments: &'a Segments, open: &'a mut Option<OpenSegment>, position: Position) -> Self {
        Self { segments, open, position, current: None, bytes: 0, damaged: 0, lost: 0 }
    }

    /// Returns the position after the last record.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Returns how many bytes of events were read.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many damaged places were found that had not been counted before.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Returns how many records were written to the segments read so far and not found in them.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the next record, or `None` at the end of the log.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read for a reason that may be temporary. The next batch tries again.
    pub(super) fn next_record(&mut self) -> io::Result<Option<Record>> {
        while let Some((segment, is_last)) = self.enter_segment() {
            match self.read(segment) {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => {}
                Err(error) => {
                    *self.open = None;
                    if !is_permanent(&error) {
                        return Err(error);
                    }
                    self.damaged += 1;
                }
            }
            self.leave_segment(segment, is_last);
            if is_last {
                break;
            }
        }
        Ok(None)
    }

    /// Returns the segment at the current position, or the next one if it was deleted.
    fn enter_segment(&mut self) -> Option<(Segment, bool)> {
        if self.current.is_none() {
            let (segment, is_last) = self.segments.at_or_after(self.position.segment)?;
            if segment.number > self.position.segment {
                self.position = Position::start_of(segment.number);
            }
            self.current = Some((segment, is_last));
        }
        self.current
    }

    /// Moves past the end of a segment. Records that were not found by then are lost.
    fn leave_segment(&mut self, segment: Segment, is_last: bool) {
        self.current = None;
        self.lost += segment.records.saturating_sub(self.position.records);
        self.position = if is_last {
            let records = segment.records.max(self.position.records);
            Position { segment: segment.number, offset: segment.length, records }
        } else {
            Position::start_of(segment.number + 1)
        };
    }

    /// Reads one record of a segment. Returns `None` at its end.
    fn read(&mut self, segment: Segment) -> io::Result<Option<Record>> {
        let reader = open_segment(self.open, self.segments, segment, self.position.offset)?;
        let (event, offset) = match reader.next()? {
            Found::End => return Ok(None),
            Found::Damage => {
                self.damaged += u64::from(!self.segments.is_recovered(segment.number));
                (None, reader.offset())
            }
            Found::Event(json) => {
                self.bytes += json.len();
                let event = serde_json::from_slice::<Event>(json).ok();
                // The checksum is intact, so that opening the log has not counted it as damage.
                self.damaged += u64::from(event.is_none());
                (event, reader.offset())
            }
        };
        self.position.offset = offset;
        let Some(event) = event else { return Ok(Some(Record::Damaged)) };
        self.position.records += 1;
        Ok(Some(Record::Event(Arc::new(event))))
    }
}

/// Returns a reader at an offset of a segment. Reuses the one of the last record if it is there.
fn open_segment<'a>(
    open: &'a mut Option<OpenSegment>,
    segments: &Segments,
    segment: Segment,
    offset: u64,
) -> io::Result<&'a mut SegmentReader> {
    let is_there = |open: &OpenSegment| open.number == segment.number && open.reader.offset() == offset;
    let current = if let Some(current) = open.take().filter(is_there) {
        current
    } else {
        let file = segments.open_for_reading(segment.number)?;
        OpenSegment { number: segment.number, reader: SegmentReader::new(file, offset, segment.length) }
    };
    let reader = &mut open.insert(current).reader;
    reader.set_length(segment.length);
    Ok(reader)
}

/// Returns `true` if the content is gone for good. Other errors may be temporary.
fn is_permanent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{
        super::{fsync::Fsync, record, recovery::Recovered, segment::segment_path, syncer::Syncer},
        *,
    };

    /// A log in a temporary directory, which is deleted on drop.
    struct TestLog {
        directory: PathBuf,
        segments: Segments,
    }

    impl TestLog {
        /// Writes segments with one event each.
        fn new(name: &str, paths: &[&str]) -> Self {
            let directory = std::env::temp_dir().join(format!("tower-tagging-cursor-{name}-{}", std::process::id()));
            fs::create_dir_all(&directory).unwrap();
            let recovered = Recovered::read(&directory, None).unwrap();
            let syncer = Syncer::start(Fsync::Never, &directory).unwrap();
            let segments = Segments::new(directory.clone(), 1024 * 1024, 1, recovered, syncer);
            for path in paths {
                let mut buffer = Vec::new();
                record::begin(&mut buffer);
                serde_json::to_writer(&mut buffer, &Event::builder().path(*path).build()).unwrap();
                assert!(record::end(&mut buffer));
                segments.append(&buffer).unwrap();
            }
            Self { directory, segments }
        }

        /// Returns the path of the file with the event at an index.
        fn file(&self, index: u64) -> PathBuf {
            segment_path(&self.directory, self.first().segment + index)
        }

        fn first(&self) -> Position {
            Position::start_of(self.segments.at_or_after(0).unwrap().0.number)
        }
    }

    impl Drop for TestLog {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    /// Reads to the end. Returns the paths of the events, with `!` for each damaged place.
    fn read(cursor: &mut Cursor<'_>) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(record) = cursor.next_record().unwrap() {
            found.push(match record {
                Record::Event(event) => event.path().to_owned(),
                Record::Damaged => "!".to_owned(),
            });
        }
        found
    }

    #[test]
    fn reads_on_where_the_last_cursor_stopped() {
        let log = TestLog::new("resume", &["a", "b", "c"]);
        let mut open = None;
        let mut cursor = Cursor::new(&log.segments, &mut open, log.first());
        assert!(matches!(cursor.next_record(), Ok(Some(Record::Event(event))) if event.path() == "a"));
        let position = cursor.position();
        let mut cursor = Cursor::new(&log.segments, &mut open, position);
        assert_eq!(read(&mut cursor), ["b", "c"]);
        assert_eq!((cursor.damaged(), cursor.lost()), (0, 0));
        // The end of the log is a position too.
        let position = cursor.position();
        assert_eq!(read(&mut Cursor::new(&log.segments, &mut open, position)), [""; 0]);
    }

    #[test]
    fn counts_damaged_and_missing_records_as_lost_and_reads_the_others() {
        let log = TestLog::new("damage", &["a", "b", "c", "d"]);
        let mut bytes = fs::read(log.file(1)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(log.file(1), bytes).unwrap();
        fs::remove_file(log.file(2)).unwrap();
        let mut open = None;
        let mut cursor = Cursor::new(&log.segments, &mut open, log.first());
        assert_eq!(read(&mut cursor), ["a", "!", "d"]);
        assert_eq!((cursor.damaged(), cursor.lost()), (2, 2));
    }
}
