use std::ops::Range;

use memchr::memmem;

/// The bytes that every record starts with. None of them occurs in UTF-8, so the marker is never part of an event.
const MARKER: [u8; 4] = [0xFF, 0xC0, 0xFE, 0xC1];

/// Length of a record header: the marker, then the length of the event and its CRC-32, both in little-endian order.
pub(super) const HEADER_BYTES: usize = 12;

const _: () = assert!(HEADER_BYTES == 12, "files on users' disks depend on the record format");

/// Starts a record in an empty buffer. The event is then appended to it.
pub(super) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.extend_from_slice(&MARKER);
    buffer.extend_from_slice(&[0; HEADER_BYTES - MARKER.len()]);
}

/// Completes the header of a record. Returns `false` if the event is too long for a record.
pub(super) fn end(buffer: &mut [u8]) -> bool {
    let Some((header, event)) = buffer.split_first_chunk_mut::<HEADER_BYTES>() else { return false };
    let Ok(length) = u32::try_from(event.len()) else { return false };
    let [_, _, _, _, l0, l1, l2, l3, c0, c1, c2, c3] = header;
    [*l0, *l1, *l2, *l3] = length.to_le_bytes();
    [*c0, *c1, *c2, *c3] = crc32fast::hash(event).to_le_bytes();
    true
}

/// The result of looking for a record at the start of a buffer.
pub(super) enum Parsed {
    /// A record. The range is the position of its event.
    Record(Range<usize>),
    /// The buffer holds too few bytes. At least this many are needed.
    Incomplete(usize),
    /// The buffer does not start with a record.
    Damaged,
}

/// Looks for a record at the start of `bytes`, of which the segment has `left` in total.
pub(super) fn parse(bytes: &[u8], left: usize) -> Parsed {
    let bytes = bytes.get(..left).unwrap_or(bytes);
    if left < HEADER_BYTES {
        return if bytes.is_empty() { Parsed::Incomplete(left) } else { Parsed::Damaged };
    }
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Parsed::Incomplete(HEADER_BYTES);
    };
    let [m0, m1, m2, m3, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if [m0, m1, m2, m3] != MARKER || length > left - HEADER_BYTES {
        return Parsed::Damaged;
    }
    match rest.get(..length) {
        None => Parsed::Incomplete(HEADER_BYTES + length),
        Some(event) if crc32fast::hash(event) == u32::from_le_bytes([c0, c1, c2, c3]) => {
            Parsed::Record(HEADER_BYTES..HEADER_BYTES + length)
        }
        Some(_) => Parsed::Damaged,
    }
}

/// Returns how many bytes to skip after a damaged place to reach the next marker, or the place where one may start.
pub(super) fn skip_damage(bytes: &[u8]) -> usize {
    let rest = bytes.get(1..).unwrap_or_default();
    match memmem::find(rest, &MARKER) {
        Some(at) => at + 1,
        // The last bytes may be the start of a marker.
        None => rest.len().saturating_sub(MARKER.len() - 1).max(1),
    }
}
