//! How a worker treats its jobs.

use std::time::Duration;

use clap::Args;

use crate::names::is_pool;

/// One worker of one stage.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct WorkerOptions {
    /// Name in events and logs; default: host name and process id
    #[arg(long = "worker-name", env = "SHANSHUI_WORKER_NAME")]
    pub name: Option<String>,
    /// Jobs at a time; default: as many as the stage does better together than one by one, and one where
    /// --job-memory-mib is set
    #[arg(long, env = "SHANSHUI_CONCURRENCY", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: Option<u16>,
    /// Pools to take jobs from, each with an optional weight: default,sdxl or default=1,gold=3
    #[arg(long = "pool", env = "SHANSHUI_POOL", value_name = "POOL[=WEIGHT]", value_delimiter = ',', default_value = "default", value_parser = weighted)]
    pub pools: Vec<(String, u32)>,
    /// Attempts before a job is buried in DEAD; interrupted ones do not count
    #[arg(long, env = "SHANSHUI_ATTEMPTS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub attempts: u64,
    /// Seconds that one attempt may take at most, whatever its progress
    #[arg(long, env = "SHANSHUI_JOB_SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub job_seconds: u64,
    /// Seconds without progress after which the work counts as hung and its lease is given up;
    /// longer than one denoising step or one window of speech takes
    #[arg(long, env = "SHANSHUI_STALL_SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub stall_seconds: u64,
    /// Memory in MiB that one job may add to what the process holds; without it there is no limit
    #[arg(long, env = "SHANSHUI_JOB_MEMORY_MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub job_memory_mib: Option<u64>,
    /// Jobs in a row, all different, whose attempts fail before this worker leaves the queue and
    /// ends with an error; 0 for never
    #[arg(long, env = "SHANSHUI_BREAK_AFTER", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub break_after: u16,
    /// Seconds that running work may go on after the first SIGTERM; keep it below the
    /// orchestrator's grace period
    #[arg(long, env = "SHANSHUI_DRAIN_SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub drain_seconds: u64,
}

impl WorkerOptions {
    /// Refuses settings that contradict each other.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.stall_seconds <= self.job_seconds,
            "stall-seconds: {} is not allowed; allowed: at most job-seconds ({})",
            self.stall_seconds,
            self.job_seconds
        );
        Ok(())
    }

    /// Jobs at a time, where a stage does so many better together.
    pub fn jobs_at_a_time(&self, together: u16) -> u16 {
        // What the process grows by could not be told apart.
        let alone = self.job_memory_mib.is_some();
        self.concurrency.unwrap_or(if alone { 1 } else { together }).max(1)
    }

    /// Names of the pools.
    pub fn pool_names(&self) -> Vec<String> {
        self.pools.iter().map(|(pool, _)| pool.clone()).collect()
    }

    /// Longest time of one attempt.
    pub fn job_time(&self) -> Duration {
        Duration::from_secs(self.job_seconds)
    }

    /// Longest time without progress.
    pub fn stall_time(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
    }
}

fn weighted(text: &str) -> Result<(String, u32), String> {
    let (pool, weight) = text.split_once('=').unwrap_or((text, "1"));
    let weight = weight.parse().ok().filter(|weight| (1..=100).contains(weight));
    match weight.filter(|_| is_pool(pool)) {
        Some(weight) => Ok((pool.to_owned(), weight)),
        None => Err("a pool is 1 to 32 characters of a-z, 0-9 and -, with a weight from 1 to 100 behind =".into()),
    }
}
