use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use tower_tagging::analytics::{ExportFormat, ExportToken};

use crate::{content::Content, failure::Failure, place::Place};

/// The place that an export is written to.
pub(crate) struct Target<'a> {
    /// The file, and its name until it is complete. `None` for standard output.
    file: Option<(&'a Path, PathBuf)>,
    format: ExportFormat,
    /// `true` if the content can be continued in the same file.
    is_text: bool,
    resume: Option<&'a Place>,
}

impl<'a> Target<'a> {
    pub(crate) fn new(
        path: Option<&'a Path>,
        replaces: bool,
        format: ExportFormat,
        is_text: bool,
        resume: Option<&'a Place>,
    ) -> Result<Self, Failure> {
        let Some(path) = path else {
            if !is_text && io::stdout().is_terminal() {
                return Err(Failure::Usage(
                    "the content is not text: use --output, or redirect standard output".to_owned(),
                ));
            }
            return Ok(Self { file: None, format, is_text, resume });
        };
        if path.exists() && !replaces {
            return Err(Failure::Usage(format!("the file {} exists: use another name, or --force", path.display())));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        if resume.is_some() && part.exists() && !is_text {
            return Err(Failure::Usage(format!(
                "{} cannot be continued, because its end is missing: write the rest to another file",
                part.display()
            )));
        }
        if resume.is_some() && is_text && !part.exists() {
            return Err(Failure::Usage(format!(
                "there is no file {}, which --resume continues: leave out --output to write only the rest",
                part.display()
            )));
        }
        Ok(Self { file: Some((path, part)), format, is_text, resume })
    }

    /// Returns `true` if the content is only that after the place of `--resume`, without what is before it.
    pub(crate) fn is_rest(&self) -> bool {
        self.resume.is_some() && !(self.file.is_some() && self.is_text)
    }

    pub(crate) fn open(&self) -> Result<Content, Failure> {
        let Some((_, part)) = &self.file else {
            let is_terminal = io::stdout().is_terminal();
            return Ok(if is_terminal { Content::terminal(self.format) } else { Content::standard_output() });
        };
        let failed = |error: io::Error| Failure::Usage(format!("{}: {error}", part.display()));
        if let Some(place) = self.resume.filter(|_| self.is_text) {
            let file = OpenOptions::new().read(true).write(true).open(part).map_err(failed)?;
            return Content::continued(file, self.format, place.bytes).map_err(failed);
        }
        OpenOptions::new().create(true).write(true).truncate(true).open(part).map(Content::file).map_err(failed)
    }

    pub(crate) fn complete(&self) -> Result<(), Failure> {
        let Some((path, part)) = &self.file else { return Ok(()) };
        fs::rename(part, path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
    }

    /// Returns the reason why the export is incomplete, and how to continue. Removes a file that cannot be continued.
    ///
    /// `bytes` is the size of the content up to the token.
    pub(crate) fn interrupted(&self, reason: &str, token: Option<&ExportToken>, bytes: u64) -> String {
        let start = format!("the export is incomplete: {reason}");
        match (&self.file, token) {
            (Some((_, part)), Some(token)) if self.is_text => {
                let (part, place) = (part.display(), Place { token: token.clone(), bytes: Some(bytes) });
                format!("{start}; {part} has its start: continue it with --resume {place}")
            }
            (Some((_, part)), _) => {
                let _ = fs::remove_file(part);
                start
            }
            (None, Some(token)) if self.is_text && !io::stdout().is_terminal() => {
                format!("{start}; its first {bytes} bytes are complete: continue with --resume {token}")
            }
            (None, Some(token)) => format!("{start}; continue with --resume {token}"),
            (None, None) => start,
        }
    }
}
