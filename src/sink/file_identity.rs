//! The identity of files, to notice that a path means another file.

use std::{
    fs::{self, File, Metadata},
    io::ErrorKind,
    path::Path,
};

/// Returns `true` unless the path certainly means another file than the one that is open, or none.
///
/// Without a stable number of a file, on systems other than Unix, only a path without a file is recognized.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let Ok(own) = file.metadata() else { return true };
    match fs::metadata(path) {
        Ok(found) => is_same_file(&own, &found),
        // Any other error gives no reason to leave a file that is open.
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

#[cfg(unix)]
fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Returns `true` if a file was removed from all folders, so that no reader can open it.
#[cfg(unix)]
pub(super) fn has_no_name(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

#[cfg(not(unix))]
pub(super) fn has_no_name(_: &Metadata) -> bool {
    false
}
