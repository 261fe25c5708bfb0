use std::{
    fs::{self, File},
    io,
    path::Path,
};

use super::{
    position::Position,
    segment::{Segment, segment_number, segment_path},
    segment_reader::{Found, SegmentReader},
    spool_error::SpoolError,
};

/// The content of a log that an earlier process left on disk.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Segments with undelivered events, oldest first.
    pub(super) segments: Vec<Segment>,
    /// The position of the first undelivered event.
    pub(super) committed: Position,
    /// The number of damaged places.
    pub(super) damaged: u64,
}

impl Recovered {
    /// Reads all segments from the position that the checkpoint stores, and deletes those before it.
    pub(super) fn read(directory: &Path, checkpoint: Option<Position>) -> Result<Self, SpoolError> {
        let numbers = segment_numbers(directory).map_err(SpoolError::context("list directory", directory))?;
        let first = numbers.first().copied().unwrap_or_default();
        let start = checkpoint.unwrap_or_default();
        let start = if start.segment < first { Position::start_of(first) } else { start };
        // Records are counted from the committed position on.
        let mut recovered = Self { segments: Vec::new(), committed: Position { records: 0, ..start }, damaged: 0 };
        for number in numbers {
            let path = segment_path(directory, number);
            if number < start.segment {
                fs::remove_file(&path).map_err(SpoolError::context("delete", &path))?;
                continue;
            }
            let offset = if number == start.segment { start.offset } else { 0 };
            let (segment, damaged) = read_segment(number, &path, offset).map_err(SpoolError::context("read", &path))?;
            recovered.segments.push(segment);
            recovered.damaged += damaged;
        }
        Ok(recovered)
    }
}

/// Returns the numbers of all segments in a directory, lowest first.
pub(super) fn segment_numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        numbers.extend(entry?.file_name().to_str().and_then(segment_number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Counts the records and the damaged places of a segment from an offset on.
fn read_segment(number: u64, path: &Path, offset: u64) -> io::Result<(Segment, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = SegmentReader::new(file, offset.min(length), length);
    let mut segment = Segment { number, length, records: 0 };
    let mut damaged = 0;
    loop {
        match reader.next()? {
            Found::Event(_) => segment.records += 1,
            Found::Damage => damaged += 1,
            Found::End => return Ok((segment, damaged)),
        }
    }
}
