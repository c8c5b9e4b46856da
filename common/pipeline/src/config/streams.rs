//! What `streams apply` may be told.

use std::str::FromStr;

use clap::Args;

use crate::names::is_pool;

/// Sizes and times of streams and consumers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Streams")]
pub struct StreamSettings {
    /// Copies of every stream: 3 in a cluster, 1 on a single server
    #[arg(long, env = "SHANSHUI_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: u8,
    /// Most bytes that wait in each queue before publishers are refused
    #[arg(long, env = "SHANSHUI_QUEUE_BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(i64).range(1 << 20..))]
    pub queue_bytes: i64,
    /// Most jobs of one lane that wait in a queue or are in work before its publishers are refused, so
    /// that no lane can fill the queue for all others [default: no limit but --queue-bytes]
    #[arg(long, env = "SHANSHUI_LANE_JOBS", value_parser = clap::value_parser!(i64).range(1..))]
    pub lane_jobs: Option<i64>,
    /// Seconds until an unacknowledged delivery goes to another worker
    #[arg(long, env = "SHANSHUI_ACK_WAIT_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub ack_wait_seconds: u64,
    /// Deliveries of one message, counted and uncounted attempts together; far above --attempts
    #[arg(long, env = "SHANSHUI_MAX_DELIVER", default_value_t = 100, value_parser = clap::value_parser!(i64).range(2..=100_000))]
    pub max_deliver: i64,
    /// Jobs in work at a time, over all workers, for each consumer; the default pool has four
    #[arg(long, env = "SHANSHUI_MAX_ACK_PENDING", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..))]
    pub max_ack_pending: i64,
    /// Days for which events, ends and cancels are kept [default: 7 when a stream is made; what it has
    /// otherwise]
    #[arg(long, env = "SHANSHUI_EVENTS_DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub events_days: Option<u32>,
    /// Days for which dead letters are kept [default: 30 when the stream is made; what it has otherwise]
    #[arg(long, env = "SHANSHUI_DEAD_DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub dead_days: Option<u32>,
    /// Pools beside the default one.
    #[arg(skip)]
    pub pools: Vec<PoolName>,
    /// Intakes beside the default one.
    #[arg(skip)]
    pub intakes: Vec<String>,
}

/// A pool beside the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolName {
    /// The queue, as `text`.
    pub queue: String,
    /// The pool.
    pub pool: String,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            replicas: 1,
            queue_bytes: 1 << 30,
            lane_jobs: None,
            ack_wait_seconds: 30,
            max_deliver: 100,
            max_ack_pending: 1000,
            events_days: None,
            dead_days: None,
            pools: Vec::new(),
            intakes: Vec::new(),
        }
    }
}

impl FromStr for PoolName {
    type Err = String;

    /// Reads `QUEUE/POOL`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fits =
            |(queue, pool): &(&str, &str)| is_pool(queue) && is_pool(pool) && *pool != crate::names::DEFAULT_POOL;
        let named = text.split_once('/').filter(fits);
        let (queue, pool) =
            named.ok_or("a pool is QUEUE/POOL, as text/sdxl: 1 to 32 characters of a-z, 0-9 and - each")?;
        Ok(Self { queue: queue.to_owned(), pool: pool.to_owned() })
    }
}
