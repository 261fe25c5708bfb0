use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::{
    analytics::{Filter, Grant},
    sync::lock,
};

use super::{
    api_error::ApiError,
    export_job::{ExportDefinition, ExportJob, ExportShape, ExportState},
    links::{Link, Links},
    paging::Paging,
};

/// The largest number of jobs. A new one replaces one of the grant with the most jobs.
const MAX_JOBS: usize = 1_000;
/// The largest number of tasks that read the rows of jobs, also of jobs that were cancelled.
const MAX_RUNNING: usize = 8;
/// The largest number of jobs of a grant that are in progress, so that no tenant takes the room of all others.
const MAX_RUNNING_OF_GRANT: usize = 4;

/// The export jobs of a router, which are forgotten when the process ends.
#[derive(Debug)]
pub(crate) struct Exports {
    /// Ids are ordered by time.
    jobs: Mutex<BTreeMap<Uuid, ExportJob>>,
    running: Arc<Semaphore>,
}

impl Default for Exports {
    fn default() -> Self {
        Self { jobs: Mutex::default(), running: Arc::new(Semaphore::new(MAX_RUNNING)) }
    }
}

impl Exports {
    /// Adds a draft. Returns its id.
    pub(crate) fn create(&self, grant: Grant, definition: ExportDefinition) -> Uuid {
        let mut jobs = lock(&self.jobs);
        if jobs.len() >= MAX_JOBS {
            remove_one(&mut jobs);
        }
        let (id, now) = (Uuid::now_v7(), SystemTime::now());
        let job = ExportJob {
            id,
            grant,
            definition: Arc::new(definition),
            state: ExportState::Draft,
            run: 0,
            as_of: None,
            rows: None,
            links: Links::default(),
            created_at: now,
            last_updated_at: now,
        };
        jobs.insert(id, job);
        id
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

    /// Starts a job. Its task keeps the permit while it reads.
    ///
    /// # Errors
    /// Returns the status 429 if too many tasks are reading, and otherwise as [`change`](Self::change).
    pub(crate) fn start(
        &self,
        job: &ExportJob,
        as_of: SystemTime,
    ) -> Result<(ExportJob, OwnedSemaphorePermit), ApiError> {
        let is_own = |other: &&ExportJob| other.grant == job.grant && other.state == ExportState::InProgress;
        if lock(&self.jobs).values().filter(is_own).count() >= MAX_RUNNING_OF_GRANT {
            let message = format!("{MAX_RUNNING_OF_GRANT} of your exports are in progress: try again later");
            return Err(ApiError::throttled(message));
        }
        let permit = Arc::clone(&self.running).try_acquire_owned();
        let permit = permit
            .map_err(|_| ApiError::throttled(format!("{MAX_RUNNING} exports are in progress: try again later")))?;
        let from = [ExportState::Draft, ExportState::Failed, ExportState::Stopped];
        let job = self.change(job, &from, ExportState::InProgress, |job| {
            job.run += 1;
            job.as_of = Some(as_of);
        })?;
        Ok((job, permit))
    }

    /// Moves a job to another state, and changes it.
    ///
    /// # Errors
    /// Returns the status 404 if the job no longer exists, and 409 if it is not in one of the states `from`, or was started
    /// after the caller read it.
    pub(crate) fn change(
        &self,
        seen: &ExportJob,
        from: &[ExportState],
        to: ExportState,
        change: impl FnOnce(&mut ExportJob),
    ) -> Result<ExportJob, ApiError> {
        let mut jobs = lock(&self.jobs);
        let job = jobs.get_mut(&seen.id).ok_or_else(missing)?;
        if job.run != seen.run || !from.contains(&job.state) {
            let expected: Vec<&str> = from.iter().map(|state| state.as_text()).collect();
            let (found, expected) = (job.state.as_text(), expected.join(" or "));
            return Err(ApiError::conflict(format!("the export is {found}: expected one that is {expected}")));
        }
        job.state = to;
        job.last_updated_at = SystemTime::now();
        change(job);
        Ok(job.clone())
    }

    /// Returns `true` while a run of a job is in progress.
    pub(crate) fn is_running(&self, seen: &ExportJob) -> bool {
        let jobs = lock(&self.jobs);
        jobs.get(&seen.id).is_some_and(|job| job.run == seen.run && job.state == ExportState::InProgress)
    }

    /// Ends a run with the number of its rows, or without if it failed. Does nothing if the run is no longer in progress.
    pub(crate) fn end(&self, seen: &ExportJob, rows: Option<u64>) {
        let state = if rows.is_some() { ExportState::Success } else { ExportState::Failed };
        // It may have been cancelled or replaced in the meantime.
        let _ = self.change(seen, &[ExportState::InProgress], state, |job| job.rows = rows);
    }

    /// Adds a link to the file of a job.
    ///
    /// # Errors
    /// Returns the status 404 if the job no longer exists, and 409 if it has no file.
    pub(crate) fn add_link(&self, seen: &ExportJob, link: Link) -> Result<(), ApiError> {
        let mut jobs = lock(&self.jobs);
        let job = jobs.get_mut(&seen.id).ok_or_else(missing)?;
        if job.state != ExportState::Success {
            let found = job.state.as_text();
            return Err(ApiError::conflict(format!("the export is {found}: expected one that is complete")));
        }
        job.links.add(link);
        Ok(())
    }
}

/// Removes the oldest job of the grant with the most jobs. Jobs in progress are the last ones to go.
fn remove_one(jobs: &mut BTreeMap<Uuid, ExportJob>) {
    let mut counts: HashMap<&[Filter], usize> = HashMap::new();
    for job in jobs.values() {
        *counts.entry(job.grant.filters()).or_default() += 1;
    }
    let rank = |job: &&ExportJob| {
        (job.state == ExportState::InProgress, Reverse(counts.get(job.grant.filters()).copied()), job.id)
    };
    if let Some(id) = jobs.values().min_by_key(rank).map(|job| job.id) {
        jobs.remove(&id);
    }
}

fn missing() -> ApiError {
    ApiError::not_found("export not found")
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use crate::analytics::{RowQuery, TimeRange};

    use super::*;

    /// A run that was cancelled does not end the next one.
    #[test]
    fn runs_of_a_job_are_told_apart() {
        let (exports, now) = (Exports::default(), SystemTime::now());
        let range = TimeRange::parse("2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z", "UTC").unwrap();
        let definition = ExportDefinition {
            filters: Map::new(),
            query: RowQuery::new(range),
            rows: 1,
            skip: 0,
            fields: Vec::new(),
            description: None,
            workspace: None,
        };
        let id = exports.create(Grant::everything(), definition);
        let (first, _permit) = exports.start(&exports.job(id).unwrap(), now).unwrap();
        exports.change(&first, &[ExportState::InProgress], ExportState::Stopped, |_| {}).unwrap();
        let (second, _permit) = exports.start(&first, now).unwrap();
        assert!(!exports.is_running(&first) && exports.is_running(&second));
        for rows in [None, Some(1)] {
            exports.end(&first, rows);
            assert!(exports.is_running(&second));
        }
        exports.end(&second, Some(2));
        assert_eq!(exports.job(id).map(|job| (job.state, job.rows)), Some((ExportState::Success, Some(2))));
    }
}
