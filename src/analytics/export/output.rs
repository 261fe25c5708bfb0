use std::{
    fmt,
    io::{self, Write},
    mem,
};

use bytes::Bytes;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::{analytics::QueryError, store::StoreError};

use super::Compression;

/// Content that is hashed and compressed piece by piece.
///
/// Write to it, then [`take`](Self::take) the bytes so far. It holds only what was written since.
pub(crate) struct Output {
    digest: Sha256,
    encoder: Encoder,
}

enum Encoder {
    None(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    #[cfg(feature = "zstd")]
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Output {
    /// Creates empty content.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the compressor cannot be created.
    #[allow(clippy::unnecessary_wraps, reason = "Zstandard may fail")]
    pub(crate) fn new(compression: Compression) -> Result<Self, QueryError> {
        let encoder = match compression {
            Compression::None => Encoder::None(Vec::new()),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default())),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Encoder::Zstd(
                zstd::stream::write::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL).map_err(failed)?,
            ),
        };
        Ok(Self { digest: Sha256::new(), encoder })
    }

    /// Returns the bytes since the last call.
    ///
    /// All content that was written so far can be decompressed from them.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the compressor fails.
    pub(crate) fn take(&mut self) -> Result<Bytes, QueryError> {
        self.flush().map_err(failed)?;
        Ok(mem::take(self.buffer()).into())
    }

    /// Returns the last bytes.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the compressor fails.
    pub(crate) fn finish(self) -> Result<Bytes, QueryError> {
        let bytes = match self.encoder {
            Encoder::None(buffer) => buffer,
            Encoder::Gzip(encoder) => encoder.finish().map_err(failed)?,
            #[cfg(feature = "zstd")]
            Encoder::Zstd(encoder) => encoder.finish().map_err(failed)?,
        };
        Ok(bytes.into())
    }

    /// Returns the SHA-256 of the uncompressed content so far in lowercase hex digits.
    pub(crate) fn digest(&self) -> String {
        hex(&self.digest.clone().finalize())
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        match &mut self.encoder {
            Encoder::None(buffer) => buffer,
            Encoder::Gzip(encoder) => encoder.get_mut(),
            #[cfg(feature = "zstd")]
            Encoder::Zstd(encoder) => encoder.get_mut(),
        }
    }
}

/// Returns lowercase hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

/// The error of content that cannot be encoded.
pub(crate) fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> QueryError {
    QueryError::Store(StoreError::database("encode the export", error))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.encoder {
            Encoder::None(buffer) => buffer.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            #[cfg(feature = "zstd")]
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::None(_) => Ok(()),
            Encoder::Gzip(encoder) => encoder.flush(),
            #[cfg(feature = "zstd")]
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}
