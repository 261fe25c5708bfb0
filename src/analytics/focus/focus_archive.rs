use std::io::Write;

use flate2::{Compression, Crc, write::DeflateEncoder};

use super::FocusError;

/// The flags of an entry: its sizes follow the content, and its name is UTF-8.
const FLAGS: u16 = 0x0808;
const DEFLATE: u16 = 8;
const VERSION: u16 = 20;
/// The first date of the format, 1980-01-01. The content has the times that matter.
const DATE: u16 = 0x21;

/// A ZIP archive that is written piece by piece, as
/// [APPNOTE](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) describes it.
pub(crate) struct FocusArchive {
    /// The bytes since the last call of [`take`](Self::take).
    buffer: Vec<u8>,
    /// The number of bytes that were taken.
    taken: u64,
    entry: Option<Entry>,
    directory: Vec<u8>,
    entries: u16,
}

/// The entry that is being written.
struct Entry {
    name: &'static str,
    offset: u32,
    content: DeflateEncoder<Vec<u8>>,
    crc: Crc,
    compressed: u64,
    size: u64,
}

impl FocusArchive {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new(), taken: 0, entry: None, directory: Vec::new(), entries: 0 }
    }

    /// Ends the current entry, and starts another one.
    pub(crate) fn start(&mut self, name: &'static str) -> Result<(), FocusError> {
        self.end_entry()?;
        let offset = size_of_file(self.offset())?;
        self.buffer.extend(b"PK\x03\x04");
        put(&mut self.buffer, &[VERSION, FLAGS, DEFLATE, 0, DATE]);
        self.buffer.extend([0; 12]);
        put(&mut self.buffer, &[name_length(name), 0]);
        self.buffer.extend(name.as_bytes());
        let content = DeflateEncoder::new(Vec::new(), Compression::default());
        self.entry = Some(Entry { name, offset, content, crc: Crc::new(), compressed: 0, size: 0 });
        Ok(())
    }

    /// Adds content to the current entry.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FocusError> {
        let Some(entry) = &mut self.entry else { return Ok(()) };
        entry.content.write_all(bytes)?;
        entry.crc.update(bytes);
        entry.size += bytes.len() as u64;
        entry.compressed += entry.content.get_ref().len() as u64;
        self.buffer.append(entry.content.get_mut());
        Ok(())
    }

    /// Returns the bytes since the last call.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.taken += self.buffer.len() as u64;
        std::mem::take(&mut self.buffer)
    }

    /// Returns the last bytes.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, FocusError> {
        self.end_entry()?;
        let (offset, size) = (size_of_file(self.offset())?, size_of_file(self.directory.len() as u64)?);
        let mut buffer = self.buffer;
        buffer.append(&mut self.directory);
        buffer.extend(b"PK\x05\x06");
        put(&mut buffer, &[0, 0, self.entries, self.entries]);
        buffer.extend([size, offset].iter().flat_map(|number| number.to_le_bytes()));
        put(&mut buffer, &[0]);
        Ok(buffer)
    }

    fn offset(&self) -> u64 {
        self.taken + self.buffer.len() as u64
    }

    fn end_entry(&mut self) -> Result<(), FocusError> {
        let Some(entry) = self.entry.take() else { return Ok(()) };
        let rest = entry.content.finish()?;
        let compressed = size_of_file(entry.compressed + rest.len() as u64)?;
        self.buffer.extend(rest);
        let sizes = [entry.crc.sum(), compressed, size_of_file(entry.size)?];
        let sizes: Vec<u8> = sizes.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.buffer.extend(b"PK\x07\x08");
        self.buffer.extend(&sizes);
        let directory = &mut self.directory;
        directory.extend(b"PK\x01\x02");
        put(directory, &[VERSION, VERSION, FLAGS, DEFLATE, 0, DATE]);
        directory.extend(&sizes);
        put(directory, &[name_length(entry.name), 0, 0, 0, 0, 0, 0]);
        directory.extend(entry.offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
        self.entries += 1;
        Ok(())
    }
}

fn put(buffer: &mut Vec<u8>, numbers: &[u16]) {
    buffer.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn name_length(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}

/// Returns a size of a file, which the format limits to 4 GiB.
fn size_of_file(size: u64) -> Result<u32, FocusError> {
    u32::try_from(size).map_err(|_| {
        FocusError::Query(crate::analytics::QueryError::TooLarge(
            "the archive is larger than 4 GiB: choose a shorter range, or the file without an archive".to_owned(),
        ))
    })
}
