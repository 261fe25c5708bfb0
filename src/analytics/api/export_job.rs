use std::{sync::Arc, time::SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::analytics::{Filter, Grant, RowQuery};

use super::log_shape::time_text;

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
    /// The time at which the job was started. The file has only requests that had ended by then.
    pub(crate) as_of: Option<SystemTime>,
    /// The content of the file, once it is known.
    pub(crate) content: Option<ExportContent>,
    pub(crate) created_at: SystemTime,
    pub(crate) last_updated_at: SystemTime,
}

/// What an export contains.
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

/// The content of the file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportContent {
    pub(crate) rows: u64,
    /// The SHA-256 in lowercase hex digits.
    pub(crate) sha256: String,
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
    /// It could not be read, or its requests have changed since it was started.
    Failed,
    /// It was cancelled.
    Stopped,
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
    /// The number of rows. `null` until it is known.
    total_records: Option<u64>,
    /// Always `export`.
    object: &'static str,
}

impl ExportJob {
    /// Returns `true` if a caller may see the job: the grant of its creator, or that of the whole organization.
    pub(crate) fn is_visible_to(&self, grant: &Grant) -> bool {
        grant.filters().is_empty() || self.is_of(grant.filters())
    }

    /// Returns `true` if its creator had these conditions.
    pub(crate) fn is_of(&self, filters: &[Filter]) -> bool {
        self.grant.filters() == filters
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
            total_records: self.content.as_ref().map(|content| content.rows),
            object: "export",
        }
    }
}
