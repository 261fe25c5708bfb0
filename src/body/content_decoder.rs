use std::io::{self, Write};

use http::{HeaderMap, header};

/// Maximum number of codings of a body.
const MAX_CODINGS: usize = 4;
/// Coded bytes that are decoded at a time, which bounds the output at a time.
const PIECE_BYTES: usize = 1024;
/// Maximum output for a piece, in bytes.
const MAX_OUTPUT_BYTES: usize = 4 * 1024 * 1024;
/// Maximum ratio of output to input after the first [`FREE_BYTES`] of output. The text of models reaches 5 to 20.
const MAX_RATIO: u64 = 256;
const FREE_BYTES: u64 = 1024 * 1024;

/// Decodes the content codings of a body.
///
/// The size of the output and its ratio to the input are bounded, so a decompression bomb is given up early.
#[derive(Default)]
pub(crate) struct ContentDecoder {
    /// The codings, of which the one applied last comes first (RFC 9110, section 8.4).
    codings: Vec<Coding>,
    bytes_in: u64,
}

/// A coding and the number of bytes that it produced.
struct Coding {
    stream: Stream,
    bytes_out: u64,
}

enum Stream {
    Gzip(flate2::write::MultiGzDecoder<Output>),
    /// Deflate before its first byte.
    Deflate(Output),
    Zlib(flate2::write::ZlibDecoder<Output>),
    /// Deflate without the zlib frame that RFC 9110 demands and some servers leave out.
    RawDeflate(flate2::write::DeflateDecoder<Output>),
    Brotli(Box<brotli::DecompressorWriter<Output>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::stream::write::Decoder<'static, Output>>),
}

/// Decoded bytes that were not taken yet.
#[derive(Default)]
struct Output(Vec<u8>);

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

impl ContentDecoder {
    /// Creates the decoder for a message with these headers, or returns `None` if a coding is not supported.
    ///
    /// A coding that is not registered, such as `none` or `utf-8`, is a mistake of a server that applies none.
    pub(crate) fn for_headers(headers: &HeaderMap) -> Option<Self> {
        let mut decoder = Self::default();
        for list in headers.get_all(header::CONTENT_ENCODING) {
            for name in list.to_str().ok()?.split(',').map(str::trim) {
                match Stream::new(name) {
                    Some(stream) => decoder.codings.push(Coding { stream, bytes_out: 0 }),
                    None if is_registered(name) => return None,
                    None => {}
                }
            }
        }
        decoder.codings.reverse();
        (decoder.codings.len() <= MAX_CODINGS).then_some(decoder)
    }

    /// Returns `true` if a message with these headers has no coding.
    pub(crate) fn is_unneeded(headers: &HeaderMap) -> bool {
        Self::for_headers(headers).is_some_and(|decoder| decoder.is_identity())
    }

    /// Returns `true` if the body has no coding.
    pub(crate) fn is_identity(&self) -> bool {
        self.codings.is_empty()
    }

    /// Decodes a chunk. Returns `false` if the input is invalid or the output too large.
    pub(crate) fn decode(&mut self, chunk: &[u8], mut output: impl FnMut(&[u8])) -> bool {
        if self.is_identity() {
            output(chunk);
            return true;
        }
        let Self { codings, bytes_in } = self;
        chunk.chunks(PIECE_BYTES).all(|piece| {
            *bytes_in += piece.len() as u64;
            let max_out = FREE_BYTES.max(bytes_in.saturating_mul(MAX_RATIO));
            decode_piece(codings, piece, max_out, &mut output)
        })
    }
}

/// Returns `true` for registered codings that change the content
/// (<https://www.iana.org/assignments/http-parameters/http-parameters.xhtml#content-coding>).
fn is_registered(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "aes128gcm",
        "br",
        "compress",
        "dcb",
        "dcz",
        "deflate",
        "exi",
        "gzip",
        "pack200-gzip",
        "x-compress",
        "x-gzip",
        "zstd",
    ];
    NAMES.iter().any(|registered| name.eq_ignore_ascii_case(registered))
}

/// Decodes a piece with one coding after the other.
fn decode_piece(codings: &mut [Coding], piece: &[u8], max_out: u64, output: &mut dyn FnMut(&[u8])) -> bool {
    let Some((Coding { stream, bytes_out }, others)) = codings.split_first_mut() else {
        output(piece);
        return true;
    };
    let is_valid = stream.write(piece).is_ok();
    let mut decoded = std::mem::take(&mut stream.output().0);
    *bytes_out += decoded.len() as u64;
    // The output before a fault counts.
    let continues = decoded.chunks(PIECE_BYTES).all(|piece| decode_piece(others, piece, max_out, output));
    decoded.clear();
    stream.output().0 = decoded;
    continues && is_valid && *bytes_out <= max_out
}

impl Stream {
    /// Creates the decoder for a coding, whose name is not case-sensitive.
    fn new(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip(flate2::write::MultiGzDecoder::new(Output::default())),
            "deflate" => Self::Deflate(Output::default()),
            "br" => Self::Brotli(Box::new(brotli::DecompressorWriter::new(Output::default(), 4096))),
            #[cfg(feature = "zstd")]
            "zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(Output::default()).ok()?;
                // A window of 8 MiB, the maximum of RFC 9659.
                decoder.window_log_max(23).ok()?;
                Self::Zstd(Box::new(decoder))
            }
            _ => return None,
        })
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if let (Self::Deflate(output), Some(first)) = (&mut *self, piece.first()) {
            *self = Self::deflate(*first, std::mem::take(output));
        }
        /// Makes everything visible that was sent so far.
        fn write(decoder: &mut impl Write, piece: &[u8]) -> io::Result<()> {
            decoder.write_all(piece)?;
            decoder.flush()
        }
        match self {
            Self::Gzip(decoder) => write(decoder, piece),
            Self::Deflate(_) => Ok(()),
            Self::Zlib(decoder) => write(decoder, piece),
            Self::RawDeflate(decoder) => write(decoder, piece),
            Self::Brotli(decoder) => write(decoder, piece),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => write(decoder, piece),
        }
    }

    /// Creates the decoder for `deflate`, depending on the first byte.
    fn deflate(first: u8, output: Output) -> Self {
        // RFC 1950: the method is 8, and the window size at most 7. Without the frame, that would be a stored block with bits
        // that no encoder sets.
        let is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
        if is_zlib {
            Self::Zlib(flate2::write::ZlibDecoder::new(output))
        } else {
            Self::RawDeflate(flate2::write::DeflateDecoder::new(output))
        }
    }

    fn output(&mut self) -> &mut Output {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(output) => output,
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::RawDeflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http::{HeaderMap, header};

    use super::ContentDecoder;

    fn decoder(codings: &str) -> Option<ContentDecoder> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, codings.parse().unwrap());
        ContentDecoder::for_headers(&headers)
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn decodes_the_same_however_the_body_is_cut() {
        let body: Vec<u8> = (0..4000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let coded = gzip(&gzip(&body));
        for size in [1, 7, 1023, 1024, coded.len()] {
            let (mut decoder, mut decoded) = (decoder("x-gzip, identity, GZIP").unwrap(), Vec::new());
            for chunk in coded.chunks(size) {
                assert!(decoder.decode(chunk, |bytes| decoded.extend_from_slice(bytes)));
            }
            assert_eq!(decoded, body, "chunks of {size}");
        }
    }

    #[test]
    fn rejects_invalid_input_and_bombs() {
        assert!(!decoder("gzip").unwrap().decode(b"this is not gzip", |_| ()));
        assert!(!decoder("gzip").unwrap().decode(&gzip(&vec![0; 16 * 1024 * 1024]), |_| ()));
    }

    #[test]
    fn rejects_unknown_and_too_many_codings() {
        assert!(decoder("compress").is_none());
        assert!(decoder("gzip, gzip, gzip, gzip, gzip").is_none());
        for names in ["identity", "none", "utf-8", "UTF-8, identity", "", " , ", "null"] {
            assert!(decoder(names).unwrap().is_identity(), "{names}");
        }
        for name in ["br", "DEFLATE", "none, gzip"] {
            assert!(!decoder(name).unwrap().is_identity(), "{name}");
        }
        for name in ["exi", "dcz", "aes128gcm", "Pack200-GZIP", "x-compress"] {
            assert!(decoder(name).is_none(), "{name}");
        }
        assert_eq!(decoder("zstd").is_some(), cfg!(feature = "zstd"));
    }
}
