//! The contents of the files that a configuration consists of.

use std::{fs, path::PathBuf};

use sha2::{Digest, Sha256};

/// The files that a configuration refers to, and a digest of all contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileSet {
    /// The files in addition to the configuration file.
    paths: Vec<PathBuf>,
    digest: [u8; 32],
}

impl FileSet {
    /// Reads the files. A file that cannot be read is different from every other one.
    pub(crate) fn read(text: &str, paths: Vec<PathBuf>) -> Self {
        let digest = digest(text, &paths);
        Self { paths, digest }
    }

    /// Returns `true` if the contents have changed.
    pub(crate) fn has_changed(&self, text: &str) -> bool {
        digest(text, &self.paths) != self.digest
    }
}

/// Modification times are not enough: a mounted directory is replaced by changing a symbolic link.
fn digest(text: &str, paths: &[PathBuf]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(Sha256::digest(text));
    for path in paths {
        match fs::read(path) {
            Ok(content) => digest.update(Sha256::digest(content)),
            Err(error) => digest.update(error.to_string()),
        }
    }
    digest.finalize().into()
}
