use std::sync::Arc;

use crate::metadata::Limits;

use super::super::key_counters::LiveCounters;

/// A workspace in a snapshot.
#[derive(Debug)]
pub(crate) struct WorkspaceEntry {
    pub(crate) slug: Arc<str>,
    pub(crate) display_name: Option<String>,
    pub(crate) limits: Option<Limits>,
    pub(crate) counters: Arc<LiveCounters>,
}
