//! How full the queues are, and how long their oldest jobs have waited: for those who operate them.

use std::collections::BTreeMap;

use anyhow::Context as _;
use async_nats::jetstream::ErrorCode;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{PoolState, Queue, Refused};
use crate::config::StreamSettings;
use crate::names::{self, DEFAULT_POOL};
use crate::step::Step;

/// What a pool holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "as in PoolState")]
pub struct PoolLevel {
    pub stage: String,
    pub pool: String,
    /// Jobs that nobody has taken yet.
    pub waiting: u64,
    /// Jobs in work, or waiting for another attempt.
    pub in_work: u64,
    /// Jobs of these that were delivered more than once.
    pub redelivered: u64,
    /// Workers that ask for jobs now.
    pub asking: u64,
    /// Whole seconds since the oldest job was published that nobody has taken, 0 without one; absent where
    /// this user may not read the queue.
    pub oldest_seconds: Option<u64>,
}

/// What a stream holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "the fields are named for what they hold")]
pub struct StreamLevel {
    pub name: String,
    pub messages: u64,
    pub bytes: u64,
    /// Bytes that it takes, if there is a limit.
    pub limit: Option<u64>,
}

/// What all queues hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Levels {
    /// Every pool of every stage.
    pub pools: Vec<PoolLevel>,
    /// Jobs in DEAD by the stage that buried them.
    pub dead: BTreeMap<String, u64>,
    /// Every stream.
    pub streams: Vec<StreamLevel>,
}

impl From<&PoolState> for PoolLevel {
    fn from(state: &PoolState) -> Self {
        let (stage, pool) = (state.stage.clone(), state.pool.clone());
        let PoolState { waiting, in_work, asking, .. } = *state;
        Self { stage, pool, waiting, in_work, asking, ..Self::default() }
    }
}

impl Queue {
    /// Measures all of it. Asks once for each stream and each consumer, and once more for each consumer
    /// that has jobs waiting.
    ///
    /// # Errors
    /// A stream cannot be read.
    pub async fn levels(&self) -> anyhow::Result<Levels> {
        let (mut levels, mut may_read) = (Levels::default(), true);
        for step in self.steps {
            let pools = self.pools(step).await?;
            for pool in std::iter::once(DEFAULT_POOL).chain(pools.iter().map(String::as_str)) {
                levels.pools.push(self.pool_level(step, pool, &mut may_read).await?);
            }
            levels.dead.insert(step.stage.to_owned(), 0);
        }
        for declared in self.declared_streams(&StreamSettings::default()) {
            levels.streams.extend(self.stream_level(&declared.name).await?);
        }
        levels.dead.extend(self.dead_by_stage().await?);
        Ok(levels)
    }

    async fn pool_level(&self, step: &Step, pool: &str, may_read: &mut bool) -> anyhow::Result<PoolLevel> {
        let stream = self.names.stream(&step.stream());
        let mut level = PoolLevel { stage: step.stage.into(), pool: pool.into(), ..PoolLevel::default() };
        level.oldest_seconds = may_read.then_some(0);
        for (name, partition) in names::consumers(step.stage, pool) {
            let subject = format!("CONSUMER.INFO.{stream}.{name}");
            let info = self.info(&subject, ErrorCode::CONSUMER_NOT_FOUND).await?.unwrap_or_default();
            let number = |field: &str| info[field].as_u64().unwrap_or(0);
            level.waiting += number("num_pending");
            level.in_work += number("num_ack_pending");
            level.redelivered += number("num_redelivered");
            level.asking = level.asking.max(number("num_waiting"));
            if number("num_pending") > 0 && *may_read {
                let after = info["delivered"]["stream_seq"].as_u64().unwrap_or(0) + 1;
                let filter = self.names.filter(step.queue, pool, partition);
                level.oldest_seconds = match self.next(&step.stream(), &filter, after).await {
                    Ok(first) => level.oldest_seconds.max(first.map(|first| age(first.time))),
                    Err(error) if error.chain().any(|cause| cause.is::<Refused>()) => {
                        // Each refusal is waited for.
                        *may_read = false;
                        None
                    }
                    Err(error) => return Err(error),
                };
            }
        }
        Ok(level)
    }

    async fn stream_level(&self, name: &str) -> anyhow::Result<Option<StreamLevel>> {
        let info = self.info(&format!("STREAM.INFO.{name}"), ErrorCode::STREAM_NOT_FOUND).await?;
        Ok(info.map(|info| StreamLevel {
            name: name.to_owned(),
            messages: info["state"]["messages"].as_u64().unwrap_or(0),
            bytes: info["state"]["bytes"].as_u64().unwrap_or(0),
            limit: info["config"]["max_bytes"]
                .as_i64()
                .and_then(|limit| u64::try_from(limit).ok())
                .filter(|it| *it > 0),
        }))
    }

    /// Each stage buries under subjects of its own, by lanes.
    async fn dead_by_stage(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let stream = self.names.stream("DEAD");
        let ask = json!({ "subjects_filter": self.names.dead("*", "*") });
        let info: Value = self.ask(&format!("STREAM.INFO.{stream}"), &ask).await.context("cannot count DEAD")?;
        let mut dead = BTreeMap::new();
        for (subject, jobs) in info["state"]["subjects"].as_object().into_iter().flatten() {
            let stage = subject.split('.').nth(2).unwrap_or_default().to_owned();
            *dead.entry(stage).or_insert(0) += jobs.as_u64().unwrap_or(0);
        }
        Ok(dead)
    }
}

pub(super) fn age(time: OffsetDateTime) -> u64 {
    // The server's clock may be ahead of ours.
    (OffsetDateTime::now_utc() - time).whole_seconds().max(0).unsigned_abs()
}
