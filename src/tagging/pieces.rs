use std::io::IoSlice;

use bytes::Buf;

/// Most pieces that one data frame may lie in and still be read.
const MAX_PIECES: usize = 16;

/// Looks at all of a data frame without taking anything from it. False, and nothing seen, when it lies in more pieces than
/// can be looked at.
pub(super) fn for_each(data: &impl Buf, mut look: impl FnMut(&[u8])) -> bool {
    let first = data.chunk();
    if first.len() == data.remaining() {
        look(first);
        return true;
    }
    let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
    let filled = data.chunks_vectored(&mut pieces);
    let pieces = pieces.iter().take(filled);
    if pieces.clone().map(|piece| piece.len()).sum::<usize>() != data.remaining() {
        return false;
    }
    pieces.for_each(|piece| look(piece));
    true
}
