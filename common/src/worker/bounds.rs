//! What one attempt may cost in time and memory.

use std::time::Duration;

use anyhow::anyhow;
use time::OffsetDateTime;

use crate::config::WorkerOptions;
use crate::failure::Failure;
use crate::job::Common;
use crate::telemetry::resident_bytes;

/// How often the memory is looked at: a model allocates faster than this only in large pieces.
const LOOK: Duration = Duration::from_millis(100);

/// Longest time from now: the worker's own limit, or what is left until the job's deadline.
pub(super) fn time_left(options: &WorkerOptions, common: &Common) -> Duration {
    let until = common.deadline.map(|deadline| deadline - OffsetDateTime::now_utc());
    let until = until.map(|left| left.try_into().unwrap_or(Duration::ZERO));
    until.map_or(options.job_time(), |left: Duration| left.min(options.job_time()))
}

/// Resolves when `time` is over.
pub(super) async fn overtime(time: Duration) -> Failure {
    tokio::time::sleep(time).await;
    Failure::Reject(anyhow!("deadline: {time:.0?} were not enough"))
}

/// Resolves when the process holds `mib` MiB more than now; never without a limit, or where the
/// system does not tell.
pub(super) fn overweight(mib: Option<u64>) -> impl Future<Output = Failure> {
    // Read at the call, before the work begins.
    let limit = mib.zip(resident_bytes());
    async move {
        match limit {
            Some((limit, before)) => grown(limit, before).await,
            None => std::future::pending().await,
        }
    }
}

async fn grown(limit: u64, before: i64) -> Failure {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let more = u64::try_from(resident_bytes().unwrap_or(before) - before).unwrap_or(0) >> 20;
        if more > limit {
            let reason = format!("memory: {more} MiB for one job is not allowed; allowed: {limit} MiB");
            return Failure::Reject(anyhow!(reason));
        }
    }
}
