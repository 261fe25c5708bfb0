use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use uuid::Uuid;

use crate::{analytics::Grant, sync::lock};

use super::{
    api_error::ApiError,
    export_job::{ExportDefinition, ExportJob, ExportShape, ExportState},
    paging::Paging,
};

/// The largest number of jobs of callers with the same grant. A new one replaces the oldest.
const MAX_PER_GRANT: usize = 100;
/// The largest number of all jobs.
const MAX_JOBS: usize = 1_000;
/// The largest number of jobs in progress.
const MAX_RUNNING: usize = 8;

/// The export jobs of a router, which are forgotten when the process ends. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exports {
    /// Ids are ordered by time.
    jobs: Arc<Mutex<BTreeMap<Uuid, ExportJob>>>,
}

impl Exports {
    /// Adds a draft.
    ///
    /// # Errors
    /// Returns an error if there is no room for it.
    pub(crate) fn create(&self, grant: Grant, definition: ExportDefinition) -> Result<ExportJob, ApiError> {
        let mut jobs = lock(&self.jobs);
        let own: Vec<Uuid> = jobs.values().filter(|job| job.is_of(grant.filters())).map(|job| job.id).collect();
        if own.len() >= MAX_PER_GRANT {
            let is_idle = |id: &&Uuid| jobs.get(*id).is_some_and(|job| job.state != ExportState::InProgress);
            let oldest = own.iter().find(is_idle).copied();
            oldest.and_then(|id| jobs.remove(&id)).ok_or_else(full)?;
        }
        if jobs.len() >= MAX_JOBS {
            return Err(full());
        }
        let now = SystemTime::now();
        let job = ExportJob {
            id: Uuid::now_v7(),
            grant,
            definition: Arc::new(definition),
            state: ExportState::Draft,
            as_of: None,
            content: None,
            created_at: now,
            last_updated_at: now,
        };
        jobs.insert(job.id, job.clone());
        Ok(job)
    }

    /// Returns a page of the jobs that a caller may see, the newest first, and the number of jobs on all pages.
    pub(crate) fn list(&self, grant: &Grant, workspace: Option<&str>, page: Paging) -> (u64, Vec<ExportShape>) {
        let jobs = lock(&self.jobs);
        let is_listed = |job: &&ExportJob| {
            let is_wanted = workspace.is_none_or(|slug| job.definition.workspace.as_deref() == Some(slug));
            is_wanted && job.is_visible_to(grant)
        };
        let listed: Vec<&ExportJob> = jobs.values().rev().filter(is_listed).collect();
        (listed.len() as u64, page.of(listed).into_iter().map(ExportJob::shape).collect())
    }

    /// Returns a job that a caller may see.
    ///
    /// # Errors
    /// Returns the status 404 if there is none.
    pub(crate) fn get(&self, id: &str, grant: &Grant) -> Result<ExportJob, ApiError> {
        let id = id.parse::<Uuid>().map_err(|_| missing())?;
        self.job(id).filter(|job| job.is_visible_to(grant)).ok_or_else(missing)
    }

    /// Returns a job.
    pub(crate) fn job(&self, id: Uuid) -> Option<ExportJob> {
        lock(&self.jobs).get(&id).cloned()
    }

    /// Moves a job to another state, if it is in one of `from`, and changes it.
    ///
    /// # Errors
    /// Returns the status 404 if the job no longer exists, 409 if it is in another state, and 429 if too many are in progress.
    pub(crate) fn change(
        &self,
        id: Uuid,
        from: &[ExportState],
        to: ExportState,
        change: impl FnOnce(&mut ExportJob),
    ) -> Result<ExportJob, ApiError> {
        let mut jobs = lock(&self.jobs);
        let running = jobs.values().filter(|job| job.state == ExportState::InProgress).count();
        let job = jobs.get_mut(&id).ok_or_else(missing)?;
        if !from.contains(&job.state) {
            return Err(ApiError::conflict(format!("the export is {:?}", job.state)));
        }
        if to == ExportState::InProgress && running >= MAX_RUNNING {
            return Err(ApiError::throttled(format!("{running} exports are in progress: try again later")));
        }
        job.state = to;
        job.last_updated_at = SystemTime::now();
        change(job);
        Ok(job.clone())
    }
}

fn missing() -> ApiError {
    ApiError::not_found("export not found")
}

fn full() -> ApiError {
    ApiError::throttled("there are too many exports: try again later")
}
