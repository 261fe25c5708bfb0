use std::io::IoSlice;

use bytes::Buf;

/// Maximum number of pieces of a data frame that can be inspected.
const MAX_PIECES: usize = 16;

/// Passes all bytes of a data frame to `look` without consuming them. Returns `false`, without a call, if the frame has too
/// many pieces.
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
