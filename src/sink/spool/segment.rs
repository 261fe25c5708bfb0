use std::path::{Path, PathBuf};

/// One file of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// The length of the file, in bytes.
    pub(super) length: u64,
    /// The number of undelivered records that were written to the segment or found in it when the log was opened.
    pub(super) records: u64,
}

/// Returns the path of a segment.
pub(super) fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.log"))
}

/// Returns the number of the segment with this file name, or `None` if it is a different kind of file.
pub(super) fn segment_number(file_name: &str) -> Option<u64> {
    file_name.strip_suffix(".log")?.parse().ok()
}
