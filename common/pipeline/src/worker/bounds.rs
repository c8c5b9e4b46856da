//! What one attempt may cost in time and memory.

use std::time::Duration;

use time::OffsetDateTime;

use crate::code::Code;
use crate::config::WorkerOptions;
use crate::failure::Failure;
use crate::job::JobMeta;
use crate::telemetry::resident_bytes;

/// How often the memory is looked at: a model allocates faster than this only in large pieces.
const LOOK: Duration = Duration::from_millis(100);

/// Longest time from now: the worker's own limit, or what is left until the job's deadline.
pub(super) fn time_left(options: &WorkerOptions, meta: &JobMeta) -> TimeLeft {
    let until = meta.deadline.map(|deadline| deadline - OffsetDateTime::now_utc());
    let until: Option<Duration> = until.map(|left| left.try_into().unwrap_or(Duration::ZERO));
    match until.filter(|left| *left < options.job_time()) {
        Some(time) => TimeLeft { time, code: Code::Deadline },
        None => TimeLeft { time: options.job_time(), code: Code::TimeLimit },
    }
}

/// How long an attempt may take, and what it means when that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeLeft {
    pub(super) time: Duration,
    code: Code,
}

/// Resolves when the time is over.
pub(super) async fn overtime(left: TimeLeft) -> Failure {
    let TimeLeft { time, code } = left;
    tokio::time::sleep(time).await;
    let what = if code == Code::Deadline { "deadline" } else { "job-seconds" };
    Failure::reject(code, format!("{what}: the work was not done after {time:.0?}"))
}

/// Resolves when the process holds `mib` MiB more than now; never without a limit, or where the
/// system does not tell.
pub(super) fn overweight(mib: Option<u64>) -> impl Future<Output = Failure> {
    // Read at the call, before the work begins, and only where somebody asks: Linux takes a while to tell.
    let limit = mib.and_then(|limit| Some((limit, resident_bytes()?)));
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
            return Failure::reject(Code::OutOfMemory, reason);
        }
    }
}
