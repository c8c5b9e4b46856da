//! Pools: which there are, who serves them, and how long a job waits.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::ErrorCode;
use serde_json::Value;

use super::Queue;
use crate::event::{Envelope, Event};
use crate::names::{self, DEFAULT_POOL};
use crate::step::Step;

/// Finished stages that an estimate looks back on.
const RECENT: usize = 20;

/// Bytes that a job takes in its stream whose recording lies in the bucket.
const SMALL_JOB: u64 = 1024;

/// What a pool's consumers say.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct PoolState {
    /// The stage.
    pub stage: String,
    /// The pool.
    pub pool: String,
    /// Jobs that nobody has taken yet.
    pub waiting: u64,
    /// Jobs in work, or waiting for another attempt.
    pub in_work: u64,
    /// Workers that ask for jobs now. One that has a job does not ask.
    pub asking: u64,
}

/// Where a job waits, and for how long, as far as one can tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The pool.
    pub pool: PoolState,
    /// The lane.
    pub lane: String,
    /// Jobs before it.
    pub place: u64,
    /// Seconds, from what recent jobs of the stage took.
    pub seconds: Option<f64>,
}

impl Wait {
    /// As an event for people; `digest` is that of the message.
    pub fn event(&self, digest: &str) -> Event {
        let PoolState { stage, pool, .. } = &self.pool;
        let (stage, pool, lane) = (stage.clone(), pool.clone(), self.lane.clone());
        let (place, seconds, workers) = (self.place, self.seconds, self.pool.workers());
        Event::Queued { stage, pool, place, seconds, workers, lane, digest: digest.to_owned() }
    }
}

impl PoolState {
    /// Jobs wait, and nobody asks for them or has one: the pool has no live worker.
    pub fn is_abandoned(&self) -> bool {
        self.waiting > 0 && self.asking == 0 && self.in_work == 0
    }

    /// Workers that are known of.
    pub fn workers(&self) -> u64 {
        self.asking.max(self.in_work)
    }
}

impl Queue {
    /// The pools of a step besides the default one.
    pub async fn pools(&self, step: &Step) -> anyhow::Result<Vec<String>> {
        let name = self.names.stream(&step.stream());
        let config = self.stream_config(&name).await?.with_context(|| format!("stream {name} is missing"))?;
        let subjects = config.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
        let pool = |subject: &Value| {
            let pool = names::pool(subject.as_str()?);
            (pool != DEFAULT_POOL).then(|| pool.to_owned())
        };
        Ok(subjects.iter().filter_map(pool).collect())
    }

    /// What the consumers of a pool say, summed up: the figure that a pool is scaled by is
    /// `waiting + in_work`.
    pub async fn pool_state(&self, step: &Step, pool: &str) -> anyhow::Result<PoolState> {
        let stream = self.names.stream(&step.stream());
        let mut state = PoolState { stage: step.stage.into(), pool: pool.into(), ..PoolState::default() };
        for (name, _) in names::consumers(step.stage, pool) {
            let subject = format!("CONSUMER.INFO.{stream}.{name}");
            let info = self.info(&subject, ErrorCode::CONSUMER_NOT_FOUND).await?.unwrap_or_default();
            let number = |field: &str| info[field].as_u64().unwrap_or(0);
            state.waiting += number("num_pending");
            state.in_work += number("num_ack_pending");
            // A worker asks every partition of its pool at the same time.
            state.asking = state.asking.max(number("num_waiting"));
        }
        Ok(state)
    }

    /// Whether the queue of a step takes a small job now: to be asked before a large recording is put
    /// into the bucket for nothing.
    pub async fn has_room(&self, step: &Step) -> anyhow::Result<bool> {
        let stream = self.context.get_stream(self.names.stream(&step.stream())).await?;
        let info = stream.cached_info();
        // -1 and 0 are no limit.
        let most = u64::try_from(info.config.max_bytes).unwrap_or_default();
        Ok(most == 0 || info.state.bytes + SMALL_JOB <= most)
    }

    /// How long the job at `sequence` of a stage's queue waits, if it waits there.
    pub async fn wait_of(&self, step: &Step, sequence: u64) -> anyhow::Result<Option<Wait>> {
        let stream = self.names.stream(&step.stream());
        let Some(message) = self.read(&stream, super::raw::Ask::At { seq: sequence }).await? else { return Ok(None) };
        let pool = self.pool_state(step, names::pool(&message.subject)).await?;
        let place = self.place_of(step, &message.subject, sequence).await?;
        let seconds = self.seconds_of(step.stage).await?;
        let workers = pool.workers().max(1) as f64;
        let seconds = seconds.map(|seconds| seconds * (place + pool.in_work.min(1)) as f64 / workers);
        let lane = names::lane(&message.subject).to_owned();
        Ok(Some(Wait { pool, lane, place, seconds }))
    }

    /// Jobs that the consumer of this subject hands out before number `sequence`.
    async fn place_of(&self, step: &Step, subject: &str, sequence: u64) -> anyhow::Result<u64> {
        let stream = self.names.stream(&step.stream());
        let partition = subject.split('.').nth(4).and_then(|number| number.parse().ok());
        let mut consumers = names::consumers(step.stage, names::pool(subject)).into_iter();
        let Some((name, _)) = consumers.find(|(_, own)| *own == partition) else { return Ok(0) };
        let subject = format!("CONSUMER.INFO.{stream}.{name}");
        let info = self.info(&subject, ErrorCode::CONSUMER_NOT_FOUND).await?.unwrap_or_default();
        let delivered = info["delivered"]["stream_seq"].as_u64().unwrap_or(0);
        let pending = info["num_pending"].as_u64().unwrap_or(0);
        Ok(sequence.saturating_sub(delivered + 1).min(pending.saturating_sub(1)))
    }

    /// Median of the seconds that the last jobs of a stage took.
    async fn seconds_of(&self, stage: &str) -> anyhow::Result<Option<f64>> {
        let recent = self.last_events("finished", RECENT).await?;
        let took = |envelope: &Envelope| match &envelope.data {
            Event::Finished { stage: at, seconds, .. } if at == stage => Some(*seconds),
            _ => None,
        };
        let mut seconds: Vec<f64> = recent.iter().filter_map(took).collect();
        seconds.sort_by(f64::total_cmp);
        Ok(seconds.get(seconds.len() / 2).copied())
    }

    /// Every pool of the pipeline.
    pub async fn all_pools(&self) -> anyhow::Result<Vec<PoolState>> {
        let mut all = Vec::new();
        for step in self.steps {
            let pools = self.pools(step).await?;
            for pool in std::iter::once(DEFAULT_POOL).chain(pools.iter().map(String::as_str)) {
                all.push(self.pool_state(step, pool).await?);
            }
        }
        Ok(all)
    }
}

/// Pools that have been without a live worker for a while.
#[derive(Debug, Default)]
pub(crate) struct Abandoned {
    since: HashMap<(String, String), std::time::Instant>,
}

impl Abandoned {
    /// Those of `all` that have been abandoned for `time` or longer.
    pub(crate) fn after<'a>(&mut self, time: Duration, all: &'a [PoolState]) -> Vec<&'a PoolState> {
        let now = std::time::Instant::now();
        let key = |pool: &PoolState| (pool.stage.clone(), pool.pool.clone());
        self.since.retain(|known, _| all.iter().any(|pool| pool.is_abandoned() && key(pool) == *known));
        let mut long =
            |pool: &&PoolState| pool.is_abandoned() && *self.since.entry(key(pool)).or_insert(now) + time <= now;
        all.iter().filter(|pool| long(pool)).collect()
    }
}
