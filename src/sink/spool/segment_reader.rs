use std::{fs::File, io};

use super::record::{self, Parsed};

/// Number of bytes read from a file at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The next content of a segment.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A record with an intact checksum. Its event is JSON.
    Event(&'a [u8]),
    /// Bytes up to the next record that are not a record.
    Damage,
    /// The end of the segment.
    End,
}

/// Reads the records of one segment in order.
#[derive(Debug)]
pub(super) struct SegmentReader {
    file: File,
    /// The offset of the next record in the file.
    offset: u64,
    /// The length of the segment.
    length: u64,
    /// Bytes read from the file. Those from `start` on begin at `offset`.
    buffer: Vec<u8>,
    start: usize,
}

impl SegmentReader {
    pub(super) fn new(file: File, offset: u64, length: u64) -> Self {
        Self { file, offset, length, buffer: Vec::new(), start: 0 }
    }

    /// Updates the length of a segment that has grown.
    pub(super) fn set_length(&mut self, length: u64) {
        self.length = length;
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next record, damaged place, or the end of the segment.
    pub(super) fn next(&mut self) -> io::Result<Found<'_>> {
        let mut is_damaged = false;
        loop {
            let left = self.left();
            if left == 0 {
                return Ok(if is_damaged { Found::Damage } else { Found::End });
            }
            let bytes = self.buffer.get(self.start..).unwrap_or_default();
            match record::parse(bytes, left) {
                Parsed::Record(_) if is_damaged => return Ok(Found::Damage),
                Parsed::Record(event) => {
                    let range = self.start + event.start..self.start + event.end;
                    self.advance(event.end);
                    return Ok(Found::Event(self.buffer.get(range).unwrap_or_default()));
                }
                Parsed::Incomplete(needed) => self.fill(needed.min(left))?,
                Parsed::Damaged => {
                    is_damaged = true;
                    let skipped = record::skip_damage(bytes).min(left);
                    self.advance(skipped);
                }
            }
        }
    }

    /// Returns the number of bytes from `offset` to the end of the segment.
    fn left(&self) -> usize {
        usize::try_from(self.length.saturating_sub(self.offset)).unwrap_or(usize::MAX)
    }

    fn advance(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.start += bytes;
    }

    /// Reads from the file until the buffer holds `needed` bytes from `offset` on.
    fn fill(&mut self, needed: usize) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        let target = needed.max(CHUNK_BYTES.min(self.left()));
        self.buffer.resize(target, 0);
        let rest = self.buffer.get_mut(held..).unwrap_or_default();
        let result = read_exact_at(&self.file, rest, self.offset + held as u64);
        if result.is_err() {
            self.buffer.truncate(held);
        }
        result
    }
}

/// Reads at a position. The file may be shared with the thread that appends to it, which moves its own position.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::File, io};

    use super::{Found, SegmentReader, record};

    fn record_of(event: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        record::begin(&mut buffer);
        buffer.extend_from_slice(event);
        assert!(record::end(&mut buffer));
        buffer
    }

    /// Returns the events of a segment in order, with `!` for each damaged place.
    fn read(name: &str, content: &[u8]) -> io::Result<Vec<String>> {
        let path = std::env::temp_dir().join(format!("tower-tagging-segment-{name}-{}", std::process::id()));
        fs::write(&path, content)?;
        let mut reader = SegmentReader::new(File::open(&path)?, 0, content.len() as u64);
        fs::remove_file(&path)?;
        let mut found = Vec::new();
        loop {
            found.push(match reader.next()? {
                Found::Event(event) => String::from_utf8_lossy(event).into_owned(),
                Found::Damage => "!".to_owned(),
                Found::End => return Ok(found),
            });
        }
    }

    #[test]
    fn reads_records_in_order() {
        let large = "x".repeat(600 * 1024);
        let content = [record_of(b"first"), record_of(large.as_bytes()), record_of(b""), record_of(b"last")].concat();
        assert_eq!(read("order", &content).unwrap(), ["first", &large, "", "last"]);
    }

    #[test]
    fn finds_the_next_record_after_damage() {
        let [first, second, third] = [record_of(b"first"), record_of(b"second"), record_of(b"third")];
        let mut damaged = second.clone();
        *damaged.last_mut().unwrap() ^= 1;
        for (name, middle) in [
            ("checksum", damaged),
            ("torn-event", second[..second.len() - 2].to_vec()),
            ("torn-header", second[..5].to_vec()),
            ("torn-marker", second[..2].to_vec()),
            ("garbage", vec![0xFF; 300 * 1024]),
        ] {
            let content = [&*first, &*middle, &*third].concat();
            assert_eq!(read(name, &content).unwrap(), ["first", "!", "third"], "{name}");
            let content = [&*first, &*middle].concat();
            assert_eq!(read(name, &content).unwrap(), ["first", "!"], "{name} at the end");
        }
    }
}
