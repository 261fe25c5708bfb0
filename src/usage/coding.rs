use std::io::{self, Write};

use http::{HeaderMap, header};

/// Undoes the content codings of a body for the tap, while the client gets what the service sent.
///
/// Both the size of what comes out of each and its ratio to what went in are bounded, so that a decompression bomb costs no
/// more than giving up.
#[derive(Default)]
pub(super) struct Decoder {
    /// What was applied last is the first: RFC 9110, section 8.4.
    codings: Vec<Coding>,
    bytes_in: u64,
}

/// A coding, and how much came out of it.
struct Coding {
    stream: Stream,
    bytes_out: u64,
}

/// Most codings of a body.
const MAX_CODINGS: usize = 4;

enum Stream {
    Gzip(flate2::write::MultiGzDecoder<Output>),
    /// Deflate that is still to begin.
    Deflate(Output),
    Zlib(flate2::write::ZlibDecoder<Output>),
    /// Without the frame of zlib, which RFC 9110 wants and some leave out.
    Raw(flate2::write::DeflateDecoder<Output>),
    Brotli(Box<brotli::DecompressorWriter<Output>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Output>>),
}

/// Coded bytes that are decoded at once, so that what comes out at once is bounded.
const PIECE_BYTES: usize = 1024;
/// Most bytes that may come out of a piece.
const MAX_OUTPUT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that may come out for each byte that went in, once [`FREE_BYTES`] came out. Text of a model comes to 5 to 20.
const MAX_RATIO: u64 = 256;
const FREE_BYTES: u64 = 1024 * 1024;

/// What came out and was not taken yet.
#[derive(Default)]
pub(super) struct Output(Vec<u8>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT_BYTES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    /// The decoder for a response with these headers; `None` for a coding that is not known.
    pub(super) fn for_headers(headers: &HeaderMap) -> Option<Self> {
        let mut decoder = Self::default();
        for list in headers.get_all(header::CONTENT_ENCODING) {
            for name in list.to_str().ok()?.split(',').map(str::trim) {
                if !name.is_empty() && !name.eq_ignore_ascii_case("identity") {
                    decoder.codings.push(Coding { stream: Stream::of(name)?, bytes_out: 0 });
                }
            }
        }
        decoder.codings.reverse();
        (decoder.codings.len() <= MAX_CODINGS).then_some(decoder)
    }

    /// Whether bodies are as they are read.
    pub(super) fn is_identity(&self) -> bool {
        self.codings.is_empty()
    }

    /// Decodes a chunk and hands out what comes of it. False when it can't be decoded, or comes to too much.
    pub(super) fn decode(&mut self, chunk: &[u8], mut hand_out: impl FnMut(&[u8])) -> bool {
        if self.is_identity() {
            hand_out(chunk);
            return true;
        }
        let Self { codings, bytes_in } = self;
        chunk.chunks(PIECE_BYTES).all(|piece| {
            *bytes_in += piece.len() as u64;
            let may_come_out = FREE_BYTES.max(bytes_in.saturating_mul(MAX_RATIO));
            undo(codings, piece, may_come_out, &mut hand_out)
        })
    }
}

/// Undoes the codings of a piece one after the other.
fn undo(codings: &mut [Coding], piece: &[u8], may_come_out: u64, hand_out: &mut dyn FnMut(&[u8])) -> bool {
    let Some((Coding { stream, bytes_out }, others)) = codings.split_first_mut() else {
        hand_out(piece);
        return true;
    };
    let is_sound = stream.write(piece).is_ok();
    let mut output = std::mem::take(&mut stream.output().0);
    *bytes_out += output.len() as u64;
    // What came out before a fault counts.
    let goes_on = output.chunks(PIECE_BYTES).all(|piece| undo(others, piece, may_come_out, hand_out));
    output.clear();
    stream.output().0 = output;
    goes_on && is_sound && *bytes_out <= may_come_out
}

impl Stream {
    /// By the name of its coding, in any case.
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip(flate2::write::MultiGzDecoder::new(Output::default())),
            "deflate" => Self::Deflate(Output::default()),
            "br" => Self::Brotli(Box::new(brotli::DecompressorWriter::new(Output::default(), 4096))),
            "zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(Output::default()).ok()?;
                // 8 MiB, as RFC 9659 has it.
                decoder.window_log_max(23).ok()?;
                Self::Zstd(Box::new(decoder))
            }
            _ => return None,
        })
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if let (Self::Deflate(output), Some(first)) = (&mut *self, piece.first()) {
            let output = std::mem::take(output);
            // RFC 1950: the method is 8, the window no larger than 7. Raw, that would be a stored block with bits set that no
            // encoder sets.
            let is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
            *self = if is_zlib {
                Self::Zlib(flate2::write::ZlibDecoder::new(output))
            } else {
                Self::Raw(flate2::write::DeflateDecoder::new(output))
            };
        }
        fn write(decoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
            decoder.write_all(piece)?;
            // What was sent so far is to be seen so far.
            decoder.flush()
        }
        match self {
            Self::Gzip(decoder) => write(decoder, piece),
            Self::Deflate(_) => Ok(()),
            Self::Zlib(decoder) => write(decoder, piece),
            Self::Raw(decoder) => write(decoder, piece),
            Self::Brotli(decoder) => write(decoder, piece),
            Self::Zstd(decoder) => write(decoder, piece),
        }
    }

    fn output(&mut self) -> &mut Output {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(output) => output,
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Raw(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}
