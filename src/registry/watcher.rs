//! The reload of a file.

use std::{
    path::Path,
    sync::{
        Arc, Weak,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use crate::ConfigError;

use super::{
    shared::Shared,
    snapshot::Snapshot,
    source::{Source, load_file, load_text, read_file},
};

/// Loads the file again.
pub(crate) fn reload(shared: &Shared) -> Result<(), ConfigError> {
    match &shared.source {
        Source::File(path) => {
            shared.check_file(path)?;
            shared.update(|previous| load_file(path, Some(previous)))
        }
        #[cfg(feature = "postgres")]
        Source::Database { changed, .. } => {
            changed.notify_one();
            Ok(())
        }
        Source::Code => Err(ConfigError::new("the registry is not from a file: use `Registry::replace`")),
    }
}

/// Starts a thread that reloads the file when it changes.
pub(crate) fn watch(shared: &Arc<Shared>, interval: Duration) -> Result<(), ConfigError> {
    if !matches!(shared.source, Source::File(_)) {
        return Err(ConfigError::new("only a registry from a file can be watched"));
    }
    let (guard, dropped) = mpsc::channel();
    let weak = Arc::downgrade(shared);
    thread::Builder::new()
        .name("tagging-registry".to_owned())
        .spawn(move || run(&weak, &dropped, interval))
        .map_err(|error| ConfigError::new(format!("cannot start a thread that watches the file ({error})")))?;
    shared.keep(Box::new(guard));
    Ok(())
}

fn run(shared: &Weak<Shared>, dropped: &Receiver<()>, interval: Duration) {
    // The sender never sends. It is dropped with the last handle.
    let mut changed = None;
    while dropped.recv_timeout(interval.max(Duration::from_millis(1))) == Err(RecvTimeoutError::Timeout) {
        let Some(shared) = shared.upgrade() else { return };
        look(&shared, &mut changed);
    }
}

/// Reloads the file if it differs from the one that is in force. `changed` is the text of the last look, if it differed.
///
/// A text counts once it was seen twice, because it may be in the middle of being written. A file that could not be loaded is
/// tried again, because a file that it refers to may exist by now.
fn look(shared: &Shared, changed: &mut Option<String>) {
    let Source::File(path) = &shared.source else { return };
    match read_file(path) {
        Err(error) => shared.fail(&error.to_string()),
        Ok(text) if shared.current().files.has_changed(&text) => {
            // Errors are in the status.
            if changed.as_ref() == Some(&text) && shared.check_file(path).is_ok() {
                let _ = shared.update(|previous| load_complete(path, &text, previous));
            }
            *changed = Some(text);
        }
        Ok(_) => {
            *changed = None;
            shared.confirm();
        }
    }
}

/// Loads a changed file, unless it lost all API keys, as a file does that is cut off.
fn load_complete(path: &Path, text: &str, previous: &Snapshot) -> Result<Snapshot, ConfigError> {
    let snapshot = load_text(path, text, Some(previous))?;
    if snapshot.keys.is_empty() && !previous.keys.is_empty() {
        return Err(ConfigError::new(format!(
            "{}: the file has no API keys, and {} are in force: call `Registry::reload` if they were removed on purpose",
            path.display(),
            previous.keys.len()
        )));
    }
    Ok(snapshot)
}
