//! Pools with jobs and without a live worker: said to operators and to the clients that wait.

use std::collections::HashSet;
use std::time::Duration;

use crate::event::Event;
use crate::events::Events;
use crate::health::{Part, Scope};
use crate::names;
use crate::queue::{Abandoned, PoolState, Queue, RECONCILE};

use super::ledger::job_of;

/// A worker that starts, or is between two jobs, is not missing.
const GRACE: Duration = Duration::from_secs(20);
/// Waiting jobs of one pool that are told.
const TOLD: usize = 100;

/// Watches the pools.
#[derive(Debug)]
pub struct Watchman {
    grace: Duration,
    abandoned: Abandoned,
    told: HashSet<(String, u64)>,
}

impl Default for Watchman {
    fn default() -> Self {
        Self::after(GRACE)
    }
}

impl Watchman {
    /// One that speaks up after this long.
    pub fn after(grace: Duration) -> Self {
        Self { grace, abandoned: Abandoned::default(), told: HashSet::new() }
    }

    /// Looks at all pools: readiness says which have no live worker, and each job that waits there
    /// gets an event, once.
    ///
    /// # Errors
    /// NATS is away or refuses.
    pub async fn look(&mut self, queue: &Queue, pools: &[PoolState], health: &Scope) -> anyhow::Result<()> {
        let abandoned = self.abandoned.after(self.grace, pools);
        let names: Vec<_> = abandoned.iter().map(|pool| format!("{}/{}", pool.stage, pool.pool)).collect();
        if names.is_empty() {
            health.up(Part::Pools);
        } else {
            let why = format!("jobs wait, and no worker asks for them: {}", names.join(", "));
            tracing::error!(why, "a pool has no live worker");
            health.down(Part::Pools, why);
        }
        for pool in abandoned {
            self.tell(queue, pool).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, queue: &Queue, pool: &PoolState) -> anyhow::Result<()> {
        let step = queue.step(&pool.stage)?;
        let full = queue.names().stream(&step.stream());
        let created = queue.context.get_stream(&full).await?.cached_info().created.unix_timestamp_nanos();
        let (mut place, mut left) = (0, TOLD);
        for (_, partition) in names::consumers(step.stage, &pool.pool) {
            let (filter, mut from) = (queue.names().filter(step.queue, &pool.pool, partition), 1);
            while left > 0
                && let Some(message) = queue.next(&step.stream(), &filter, from).await?
            {
                (from, left, place) = (message.sequence + 1, left - 1, place + 1);
                if !self.told.insert((full.clone(), message.sequence)) {
                    continue;
                }
                let job = job_of(&full, created, &message);
                let (stage, pool) = (pool.stage.clone(), pool.pool.clone());
                let lane = names::lane(&message.subject).to_owned();
                // Of a job that a stage passed on the digest is not that of the job as it came.
                let digest = String::new();
                let event = Event::Queued { stage, pool, place: place - 1, seconds: None, workers: 0, lane, digest };
                Events::new(queue.clone(), RECONCILE, RECONCILE, 0).publish(&job, &event).await?;
            }
        }
        Ok(())
    }
}
