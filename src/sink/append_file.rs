use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::sync::lock;

use super::file_identity::{has_no_name, is_at};

/// A path that is opened for appending, again and again.
///
/// It is absolute, so that a process that changes its working directory still opens the same file.
#[derive(Debug)]
pub(super) struct AppendPath {
    path: PathBuf,
    /// A file that was opened to replace the current one, until the next batch.
    replacement: Mutex<Option<File>>,
}

impl AppendPath {
    pub(super) fn as_path(&self) -> &Path {
        &self.path
    }

    /// Opens the file, which is created if it does not exist. Its folder is created again if it was removed.
    fn open(&self) -> io::Result<File> {
        match append(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder)?;
                }
                append(&self.path)
            }
            result => result,
        }
    }

    /// Opens the file now. It is used from the next batch on.
    pub(super) fn reopen(&self) -> io::Result<()> {
        let file = self.open()?;
        *lock(&self.replacement) = Some(file);
        Ok(())
    }

    /// Returns `true` if the path is a regular file that ends without a line feed.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    fn ends_within_line(&self) -> io::Result<bool> {
        let metadata = fs::metadata(&self.path)?;
        // Opening a pipe would block until it has a writer.
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(false);
        }
        let mut last = [b'\n'];
        let mut file = File::open(&self.path)?;
        file.seek(io::SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last != [b'\n'])
    }
}

/// A file that is opened for appending, and opened again once its path means another file.
#[derive(Debug)]
pub(super) struct AppendFile {
    path: Arc<AppendPath>,
    file: File,
}

/// The state of the file before a batch is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The file is the one of the last batch.
    Same,
    /// A file was opened. It may end within a line.
    Opened { is_torn: bool },
}

impl AppendFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = AppendPath { path: std::path::absolute(path)?, replacement: Mutex::default() };
        Ok(Self { file: append(&path.path)?, path: Arc::new(path) })
    }

    pub(super) fn path(&self) -> &Arc<AppendPath> {
        &self.path
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Returns `true` if the file ends within a line. A file that cannot be read counts as `unknown`.
    pub(super) fn is_torn(&self, unknown: bool) -> bool {
        self.path.ends_within_line().unwrap_or(unknown)
    }

    /// Opens the file again if its path now means another file, or none.
    ///
    /// # Errors
    ///
    /// Returns an error if no file can be opened. The old file is not used anymore, because the program that moved it
    /// expects no more lines in it.
    pub(super) fn follow(&mut self) -> io::Result<Start> {
        let replacement = lock(&self.path.replacement).take();
        let is_replaced = replacement.is_some();
        if let Some(file) = replacement {
            self.file = file;
        }
        let is_current = self.is_current();
        if !is_current {
            self.file = self.path.open()?;
        }
        if is_current && !is_replaced { Ok(Start::Same) } else { Ok(Start::Opened { is_torn: self.is_torn(false) }) }
    }

    /// Returns `true` if the file was removed, so that its content is lost. A file that was renamed keeps it.
    pub(super) fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| has_no_name(&metadata)) && !self.is_current()
    }

    /// Returns `true` if the path means the file that is open. Paths that are not regular files always do.
    fn is_current(&self) -> bool {
        self.file.metadata().is_ok_and(|own| !own.is_file()) || is_at(&self.file, &self.path.path)
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, path::PathBuf};

    use super::AppendFile;

    #[test]
    fn a_file_is_removed_once_it_has_no_name() {
        let folder = std::env::temp_dir().join(format!("tower-tagging-append-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let open = |name: &str| -> (PathBuf, AppendFile) {
            let path = folder.join(name);
            (path.clone(), AppendFile::open(&path).unwrap())
        };
        let (path, file) = open("kept");
        assert!(!file.is_removed());
        fs::rename(&path, folder.join("renamed")).unwrap();
        assert!(!file.is_removed(), "a renamed file keeps its lines");
        let (path, file) = open("linked");
        fs::hard_link(&path, folder.join("link")).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!file.is_removed(), "the file has another name");
        let (path, file) = open("removed");
        fs::remove_file(&path).unwrap();
        assert!(file.is_removed());
        fs::write(&path, "").unwrap();
        assert!(file.is_removed(), "another file has the name");
        // A descriptor's path still leads to the removed file, which is the output that the user asked for.
        let (path, file) = open("descriptor");
        let link = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file.file)));
        if link.exists() {
            let file = AppendFile::open(&link).unwrap();
            fs::remove_file(&path).unwrap();
            assert!(!file.is_removed());
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn paths_are_absolute() {
        let file = AppendFile::open("/dev/../dev/null".as_ref()).unwrap();
        assert!(file.path().as_path().is_absolute());
        let name = format!("target-append-{}.jsonl", std::process::id());
        let file = AppendFile::open(name.as_ref()).unwrap();
        assert_eq!(file.path().as_path(), std::env::current_dir().unwrap().join(&name));
        fs::remove_file(&name).unwrap();
    }
}
