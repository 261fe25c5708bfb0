use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
};

use sha2::{Digest, Sha256};
use tower_tagging::analytics::{ExportFormat, ExportSummary};

use crate::format;

/// The content of an export, which is written in pieces of whole requests.
pub(crate) struct Content {
    output: Output,
    /// The size of all complete pieces.
    bytes: u64,
    /// The start of the file, if an earlier export wrote it, and then all complete pieces.
    continued: Option<Continued>,
}

enum Output {
    File(File),
    Standard,
    /// Standard output is a terminal, which must not get control characters.
    Terminal {
        format: ExportFormat,
        is_quoted: bool,
    },
}

struct Continued {
    /// The number of requests in the start of the file.
    rows: u64,
    digest: Sha256,
}

impl Content {
    pub(crate) fn file(file: File) -> Self {
        Self { output: Output::File(file), bytes: 0, continued: None }
    }

    pub(crate) fn standard_output() -> Self {
        Self { output: Output::Standard, bytes: 0, continued: None }
    }

    pub(crate) fn terminal(format: ExportFormat) -> Self {
        Self { output: Output::Terminal { format, is_quoted: false }, bytes: 0, continued: None }
    }

    /// Continues a file after a number of bytes, or else at its end. The rest is removed.
    pub(crate) fn continued(mut file: File, format: ExportFormat, bytes: Option<u64>) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let bytes = bytes.unwrap_or(size);
        if bytes > size {
            return Err(io::Error::other(format!(
                "expected at least the {bytes} bytes before the place of --resume, found {size}"
            )));
        }
        let mut start = BufReader::new((&file).take(bytes));
        let (mut digest, mut rows) = (Sha256::new(), 0);
        let (mut is_quoted, mut last) = (false, None);
        loop {
            let piece = start.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            for byte in piece {
                is_quoted ^= *byte == b'"' && format == ExportFormat::Csv;
                rows += u64::from(*byte == b'\n' && !is_quoted);
            }
            last = piece.last().copied();
            digest.update(piece);
            let length = piece.len();
            start.consume(length);
        }
        if last != Some(b'\n') || is_quoted {
            return Err(io::Error::other("the file ends within a request, so it cannot be continued"));
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        // The first line of CSV has the names of the columns.
        let rows = if format == ExportFormat::Csv { rows - 1 } else { rows };
        Ok(Self { output: Output::File(file), bytes, continued: Some(Continued { rows, digest }) })
    }

    /// Returns the size of what is complete.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a piece. If this fails, a file ends after the piece before.
    pub(crate) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match &mut self.output {
            Output::File(file) => file.write_all(piece).inspect_err(|_| {
                // The place to continue at has the size, so a file that cannot be cut now is cut later.
                let _ = file.set_len(self.bytes);
            })?,
            Output::Standard => {
                let mut output = io::stdout().lock();
                output.write_all(piece).and_then(|()| output.flush())?;
            }
            Output::Terminal { format, is_quoted } => {
                let text = String::from_utf8_lossy(piece);
                let text = if *format == ExportFormat::Csv {
                    format::printable_csv(&text, is_quoted)
                } else {
                    format::printable_json(&text)
                };
                let mut output = io::stdout().lock();
                output.write_all(text.as_bytes()).and_then(|()| output.flush())?;
            }
        }
        self.bytes += piece.len() as u64;
        if let Some(continued) = &mut self.continued {
            continued.digest.update(piece);
        }
        Ok(())
    }

    /// Returns the summary of the whole file, from that of what was written now.
    pub(crate) fn summary(self, mut summary: ExportSummary) -> ExportSummary {
        if let Some(Continued { rows, digest }) = self.continued {
            summary.rows += rows;
            summary.sha256 = digest.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        }
        summary
    }
}
