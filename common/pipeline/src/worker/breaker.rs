//! Takes a worker out of the queue that fails whatever it is given.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::job::JobId;

/// Counts jobs whose attempts failed here since the last one that did not. One poison job that
/// fails again and again is one job: it is not the worker's fault.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failed: Mutex<HashSet<JobId>>,
}

impl Breaker {
    /// An attempt was good, or failed by the job's own fault.
    pub(super) fn good(&self) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// An attempt failed; an error once that has happened to `limit` different jobs in a row.
    pub(super) fn bad(&self, job: &JobId, limit: u16) -> anyhow::Result<()> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.insert(job.clone());
        let jobs = failed.len();
        anyhow::ensure!(
            limit == 0 || jobs < usize::from(limit),
            "{jobs} different jobs in a row failed: the worker ends, because it may be the cause (--break-after)"
        );
        Ok(())
    }
}
