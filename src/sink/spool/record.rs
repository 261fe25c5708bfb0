use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use memchr::memmem;

/// What every record begins with. No byte of it stands in UTF-8, so that it is not found within an event.
const MARK: [u8; 4] = [0xFF, 0xC0, 0xFE, 0xC1];
/// The mark, the length of the event and its CRC-32, both in little-endian order.
pub(super) const HEAD_BYTES: usize = 12;
/// Bytes that are read from a file at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Begins a record; the event is to be written behind it.
pub(super) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.extend_from_slice(&MARK);
    buffer.extend_from_slice(&[0; HEAD_BYTES - MARK.len()]);
}

/// Ends a record. `false` when it is too long to be one.
pub(super) fn end(buffer: &mut [u8]) -> bool {
    let Some((head, event)) = buffer.split_at_mut_checked(HEAD_BYTES) else { return false };
    let Ok(length) = u32::try_from(event.len()) else { return false };
    let places = head.get_mut(MARK.len()..).into_iter().flatten();
    let bytes = length.to_le_bytes().into_iter().chain(crc32fast::hash(event).to_le_bytes());
    places.zip(bytes).for_each(|(place, byte)| *place = byte);
    true
}

/// What stands next in a segment.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Event(&'a [u8]),
    /// Bytes that are no record, up to the next one.
    Damage,
    End,
}

/// Reads the records of a segment, one after the other.
#[derive(Debug)]
pub(super) struct SegmentReader {
    file: File,
    /// Where the next record begins, and the first byte that does not belong to the segment.
    offset: u64,
    length: u64,
    /// What was read from the file, and the part of it that begins at `offset`.
    buffer: Vec<u8>,
    start: usize,
}

/// What the bytes at hand are.
enum Head {
    Record(Range<usize>),
    /// More bytes are wanted to tell.
    Short(usize),
    None,
}

impl SegmentReader {
    pub(super) fn new(file: File, offset: u64, length: u64) -> Self {
        Self { file, offset, length, buffer: Vec::new(), start: 0 }
    }

    /// The segment has grown.
    pub(super) fn set_length(&mut self, length: u64) {
        self.length = length;
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// # Errors
    /// When the file can't be read.
    pub(super) fn next(&mut self) -> io::Result<Found<'_>> {
        let mut is_damaged = false;
        loop {
            let left = usize::try_from(self.length.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            if left == 0 {
                return Ok(if is_damaged { Found::Damage } else { Found::End });
            }
            match self.head(left) {
                Head::Record(_) if is_damaged => return Ok(Found::Damage),
                Head::Record(event) => {
                    self.advance(event.end - self.start);
                    return Ok(Found::Event(self.buffer.get(event).unwrap_or_default()));
                }
                Head::Short(wanted) => self.fill(wanted.min(left))?,
                Head::None => {
                    is_damaged = true;
                    let rest = self.buffer.get(self.start + 1..).unwrap_or_default();
                    let skipped = match memmem::find(rest, &MARK) {
                        Some(at) => at + 1,
                        // The last bytes may be the beginning of a mark.
                        None => rest.len().saturating_sub(MARK.len() - 1).max(1).min(left),
                    };
                    self.advance(skipped);
                }
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.start += bytes;
    }

    /// `left` bytes of the segment are still to be read.
    fn head(&self, left: usize) -> Head {
        let bytes = self.buffer.get(self.start..).unwrap_or_default();
        let bytes = bytes.get(..left).unwrap_or(bytes);
        if left < HEAD_BYTES {
            return if bytes.is_empty() { Head::Short(left) } else { Head::None };
        }
        let Some((head, behind)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Head::Short(CHUNK_BYTES) };
        let [a, b, c, d, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if [a, b, c, d] != MARK || length > left - HEAD_BYTES {
            return Head::None;
        }
        match behind.get(..length) {
            None => Head::Short(HEAD_BYTES + length),
            Some(event) if crc32fast::hash(event) == u32::from_le_bytes([c0, c1, c2, c3]) => {
                let begin = self.start + HEAD_BYTES;
                Head::Record(begin..begin + length)
            }
            Some(_) => Head::None,
        }
    }

    /// Reads on, until the buffer holds `wanted` bytes from `offset`.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        let left = usize::try_from(self.length.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let target = wanted.max(CHUNK_BYTES).min(left).max(wanted);
        self.file.seek(SeekFrom::Start(self.offset + held as u64))?;
        self.buffer.resize(target, 0);
        let result = self.file.read_exact(self.buffer.get_mut(held..).unwrap_or_default());
        if result.is_err() {
            self.buffer.truncate(held);
        }
        result
    }
}
