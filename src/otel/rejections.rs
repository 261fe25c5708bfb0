use std::sync::{Arc, Mutex};

use crate::{sink::WriteError, sync::lock};

/// What the collector rejected of the latest batch that it accepted (*partial success*).
///
/// Exporters return only success or failure, so this passes from the transport to the writer of the batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Rejections(Arc<Mutex<Option<Rejection>>>);

#[derive(Debug)]
struct Rejection {
    count: usize,
    message: String,
}

impl Rejections {
    /// Records the partial success of a response, unless it is empty, which means full success.
    #[cfg(feature = "otlp")]
    pub(super) fn record(&self, rejected: i64, message: &str) {
        let count = usize::try_from(rejected).unwrap_or_default();
        // The message is text of a server that goes to logs and reports.
        let message: String = message.chars().filter(|letter| !letter.is_control()).collect();
        *lock(&self.0) = (count > 0 || !message.is_empty()).then_some(Rejection { count, message });
    }

    /// Removes and returns the error for the latest batch, if part of it was rejected or the collector has a warning.
    pub(super) fn take(&self) -> Option<WriteError> {
        let Rejection { count, message } = lock(&self.0).take()?;
        let message = if message.is_empty() { "no reason given".to_owned() } else { message };
        let text = match count {
            0 => format!("warning of the collector: {message}"),
            _ => format!("the collector rejected {count} of the batch: {message}"),
        };
        Some(WriteError::partly_rejected(count, text))
    }
}
