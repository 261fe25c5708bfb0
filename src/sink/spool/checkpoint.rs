use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::{position::Position, spool_error::SpoolError};

/// Segment number and offset in little-endian order, followed by their CRC-32.
const CHECKPOINT_BYTES: usize = 20;

/// The file that stores up to which position events are delivered.
#[derive(Debug)]
pub(super) struct Checkpoint {
    file: File,
}

impl Checkpoint {
    /// Opens the checkpoint of a log and reads its position.
    ///
    /// The position is `None` if the file is new or damaged. All events are delivered again in that case.
    pub(super) fn open(directory: &Path) -> Result<(Self, Option<Position>), SpoolError> {
        let path = directory.join("cursor");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(SpoolError::context("open", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(SpoolError::context("read", &path))?;
        Ok((Self { file }, decode(&bytes)))
    }

    pub(super) fn write(&mut self, position: Position) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&encode(position))
    }
}

fn encode(position: Position) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CHECKPOINT_BYTES);
    bytes.extend_from_slice(&position.segment.to_le_bytes());
    bytes.extend_from_slice(&position.offset.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Position> {
    let bytes: &[u8; CHECKPOINT_BYTES] = bytes.try_into().ok()?;
    let (numbers, crc) = bytes.split_last_chunk::<4>()?;
    if *crc != crc32fast::hash(numbers).to_le_bytes() {
        return None;
    }
    let (segment, offset) = numbers.split_first_chunk::<8>()?;
    let offset = offset.first_chunk::<8>()?;
    Some(Position { offset: u64::from_le_bytes(*offset), ..Position::start_of(u64::from_le_bytes(*segment)) })
}

#[cfg(test)]
mod tests {
    use super::{CHECKPOINT_BYTES, Position, decode, encode};

    #[test]
    fn decodes_what_it_encodes() {
        let position = Position { segment: 7, offset: 1 << 40, records: 0 };
        assert_eq!(decode(&encode(position)), Some(position));
    }

    #[test]
    fn rejects_a_damaged_checkpoint() {
        let bytes = encode(Position { segment: 7, offset: 42, records: 0 });
        for at in 0..CHECKPOINT_BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "byte {at}");
        }
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&bytes[1..]), None);
    }
}
