use std::sync::Arc;

use crate::metadata::{Limits, Metadata};

use super::super::key_counters::LiveCounters;

/// A workspace in a snapshot.
#[derive(Debug)]
pub(crate) struct WorkspaceEntry {
    pub(crate) slug: Arc<str>,
    pub(crate) display_name: Option<String>,
    /// The tags of its requests.
    #[cfg_attr(not(feature = "analytics"), allow(dead_code, reason = "only the admin API lists them"))]
    pub(crate) metadata: Metadata,
    pub(crate) limits: Option<Limits>,
    pub(crate) counters: Arc<LiveCounters>,
}
