use std::{sync::Arc, time::SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::analytics::{Grant, RowQuery};

use super::{links::Links, log_shape::time_text};

/// The largest number of rows of an export.
pub(crate) const MAX_ROWS: u64 = 50_000;

/// An export of logs, as its creator defined it.
#[derive(Clone, Debug)]
pub(crate) struct ExportJob {
    pub(crate) id: Uuid,
    /// The grant of the creator. The file contains only rows that it covers.
    pub(crate) grant: Grant,
    pub(crate) definition: Arc<ExportDefinition>,
    pub(crate) state: ExportState,
    /// The number of times that the job was started. It tells its runs apart.
    pub(crate) run: u32,
    /// The file has only requests that had ended by this time. `None` until the job is started.
    pub(crate) as_of: Option<SystemTime>,
    /// The number of rows that the run found.
    pub(crate) rows: Option<u64>,
    /// The links to the file.
    pub(crate) links: Links,
    pub(crate) created_at: SystemTime,
    pub(crate) last_updated_at: SystemTime,
}

/// The requests and fields of an export.
#[derive(Clone, Debug)]
pub(crate) struct ExportDefinition {
    /// The filters as they were sent.
    pub(crate) filters: Map<String, Value>,
    pub(crate) query: RowQuery,
    /// The largest number of rows, and the number of rows before them.
    pub(crate) rows: u64,
    pub(crate) skip: u64,
    pub(crate) fields: Vec<&'static str>,
    pub(crate) description: Option<String>,
    pub(crate) workspace: Option<String>,
}

/// The state of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExportState {
    /// It was not started.
    Draft,
    InProgress,
    /// The file can be downloaded.
    Success,
    /// Its requests could not be read.
    Failed,
    /// It was cancelled.
    Stopped,
}

impl ExportState {
    /// Returns the state in sentences.
    pub(crate) const fn as_text(self) -> &'static str {
        match self {
            Self::Draft => "a draft",
            Self::InProgress => "in progress",
            Self::Success => "complete",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// An export of logs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportShape {
    id: String,
    #[schema(value_type = Object)]
    filters: Map<String, Value>,
    requested_data: Vec<&'static str>,
    status: ExportState,
    description: Option<String>,
    created_at: String,
    last_updated_at: String,
    /// Always `null`: keys are not people.
    created_by: Option<String>,
    /// Always `null`: there is one organization.
    organisation_id: Option<String>,
    /// The slug.
    workspace_id: Option<String>,
    /// The number of requests that the run found. `null` until it is known.
    total_records: Option<u64>,
    /// Always `export`.
    object: &'static str,
}

impl ExportJob {
    /// Returns `true` if a caller may see the job: the grant of its creator, or that of the whole organization.
    pub(crate) fn is_visible_to(&self, grant: &Grant) -> bool {
        grant.filters().is_empty() || self.grant.filters() == grant.filters()
    }

    pub(crate) fn shape(&self) -> ExportShape {
        let definition = &self.definition;
        ExportShape {
            id: self.id.to_string(),
            filters: definition.filters.clone(),
            requested_data: definition.fields.clone(),
            status: self.state,
            description: definition.description.clone(),
            created_at: time_text(self.created_at),
            last_updated_at: time_text(self.last_updated_at),
            created_by: None,
            organisation_id: None,
            workspace_id: definition.workspace.clone(),
            total_records: self.rows,
            object: "export",
        }
    }
}
