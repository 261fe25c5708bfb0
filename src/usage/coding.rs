use std::io::{self, Write};

use http::{HeaderMap, header};

/// Undoes the content coding of a body for the tap, while the client gets what the service sent.
///
/// Both the size of what comes out and its ratio to what went in are bounded, so that a decompression bomb costs no more
/// than giving up.
#[allow(clippy::large_enum_variant, reason = "there is one, in the box of its exchange")]
pub(super) enum Decoder {
    Identity,
    Coded { coding: Coding, bytes_in: u64, bytes_out: u64 },
}

pub(super) enum Coding {
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
        let Some(coding) = headers.get(header::CONTENT_ENCODING) else { return Some(Self::Identity) };
        let coding = match coding.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => return Some(Self::Identity),
            "gzip" | "x-gzip" => Coding::Gzip(flate2::write::MultiGzDecoder::new(Output::default())),
            "deflate" => Coding::Deflate(Output::default()),
            "br" => Coding::Brotli(Box::new(brotli::DecompressorWriter::new(Output::default(), 4096))),
            "zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(Output::default()).ok()?;
                // 8 MiB, as RFC 9659 has it.
                decoder.window_log_max(23).ok()?;
                Coding::Zstd(Box::new(decoder))
            }
            _ => return None,
        };
        Some(Self::Coded { coding, bytes_in: 0, bytes_out: 0 })
    }

    /// Decodes a chunk and hands out what comes of it. False when it can't be decoded, or comes to too much.
    pub(super) fn decode(&mut self, chunk: &[u8], mut hand_out: impl FnMut(&[u8])) -> bool {
        let Self::Coded { coding, bytes_in, bytes_out } = self else {
            hand_out(chunk);
            return true;
        };
        for piece in chunk.chunks(PIECE_BYTES) {
            let is_sound = coding.write(piece).is_ok();
            let output = coding.output();
            *bytes_in += piece.len() as u64;
            *bytes_out += output.0.len() as u64;
            if !output.0.is_empty() {
                hand_out(&output.0);
                output.0.clear();
            }
            if !is_sound || *bytes_out > FREE_BYTES.max(bytes_in.saturating_mul(MAX_RATIO)) {
                return false;
            }
        }
        true
    }
}

impl Coding {
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
