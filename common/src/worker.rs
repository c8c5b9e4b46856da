//! Drives one stage: a permit, one pull of one message, its life, and the drain.

mod attempt;
mod bounds;
mod breaker;
mod cancel;
mod settle;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{Consumer, pull::Config};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use crate::config::WorkerOptions;
use crate::delivery::Delivery;
use crate::health::Health;
use crate::queue::{Queue, pull};
use crate::shutdown::Shutdown;
use crate::stage::Stage;
use crate::store::Store;
use crate::telemetry::Metrics;
use breaker::Breaker;
use cancel::Cancels;

/// What a worker works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The queue.
    pub queue: Queue,
    /// The bucket.
    pub store: Store,
    /// What readiness reports.
    pub health: Arc<Health>,
    /// What `/metrics` reports.
    pub metrics: Arc<Metrics>,
    /// How jobs are treated.
    pub options: WorkerOptions,
}

pub(crate) struct Worker<S> {
    stage: S,
    deps: Deps,
    name: String,
    shutdown: Shutdown,
    consumer: Consumer<Config>,
    stream: String,
    created: i128,
    ack_wait: Duration,
    cancels: Cancels,
    breaker: Breaker,
    /// An attempt met an outage: jobs wait in the queue until the store answers.
    outage: AtomicBool,
    _watching: JoinSet<()>,
}

/// Works until the drain: takes jobs, finishes or hands back what runs.
///
/// # Errors
/// A stream or consumer that is missing or wrong, a model that is gone, work that hangs: the
/// process should exit non-zero and be started anew.
pub async fn run<S: Stage>(stage: S, deps: Deps, shutdown: Shutdown) -> anyhow::Result<()> {
    let health = Arc::clone(&deps.health);
    let drain = shutdown.drain.clone();
    let worker = tokio::select! {
        started = Worker::start(stage, deps, shutdown) => started?,
        () = drain.cancelled() => return Ok(()),
    };
    worker.serve(false).await.map(drop).inspect_err(|error| health.die(format!("{error:#}")))
}

/// Works until nothing is pending; returns the number of deliveries. For tests.
pub async fn run_until_empty<S: Stage>(stage: S, deps: Deps, shutdown: Shutdown) -> anyhow::Result<usize> {
    let worker = Worker::start(stage, deps, shutdown).await?;
    worker.serve(true).await
}

/// How a job's task ended. Its permit is free when that has been looked at, not before: a worker that
/// cannot go on takes no further job.
type Ended = (anyhow::Result<()>, OwnedSemaphorePermit);

impl<S: Stage> Worker<S> {
    async fn start(stage: S, deps: Deps, shutdown: Shutdown) -> anyhow::Result<Arc<Self>> {
        deps.options.check()?;
        deps.queue.wait_usable(S::NAME).await?;
        let stream_name = deps.queue.stream_of(S::NAME)?;
        let stream = deps.queue.context.get_stream(&stream_name).await?;
        let consumer: Consumer<Config> = stream.get_consumer(S::NAME).await.map_err(anyhow::Error::from_boxed)?;
        let ack_wait = consumer.cached_info().config.ack_wait;
        let created = stream.cached_info().created.unix_timestamp_nanos();
        let name = deps.options.name.clone().unwrap_or_else(default_name);
        let cancels = Cancels::listen(&deps.queue).await?;
        deps.health.up("queue");
        let mut watching = JoinSet::new();
        watching.spawn(watch::link(deps.queue.link_state(), Arc::clone(&deps.health)));
        watching.spawn(watch::streams(deps.queue.clone(), S::NAME, Arc::clone(&deps.health)));
        tracing::info!(worker = name, stage = S::NAME, stream = stream_name, "taking jobs");
        let (stream, breaker, outage) = (stream_name, Breaker::default(), AtomicBool::new(false));
        Ok(Arc::new(Self {
            stage,
            deps,
            name,
            shutdown,
            consumer,
            stream,
            created,
            ack_wait,
            cancels,
            breaker,
            outage,
            _watching: watching,
        }))
    }

    async fn serve(self: &Arc<Self>, until_empty: bool) -> anyhow::Result<usize> {
        let mut running = JoinSet::new();
        let taken = self.take_jobs(&mut running, until_empty).await;
        if taken.is_ok() && !self.shutdown.drain.is_cancelled() {
            return taken;
        }
        if taken.is_err() {
            // This worker cannot go on; jobs beside the one that says so are handed back.
            self.shutdown.stop.cancel();
        }
        let drained = self.drain(running).await;
        taken.and_then(|taken| drained.map(|()| taken))
    }

    async fn take_jobs(self: &Arc<Self>, running: &mut JoinSet<Ended>, until_empty: bool) -> anyhow::Result<usize> {
        let permits = Arc::new(Semaphore::new(usize::from(self.deps.options.concurrency)));
        let mut taken = 0;
        while !self.shutdown.drain.is_cancelled() {
            let permit = tokio::select! {
                permit = Arc::clone(&permits).acquire_owned() => permit?,
                Some(ended) = running.join_next() => { settled(ended)?; continue }
                () = self.shutdown.drain.cancelled() => break,
            };
            self.wait_for_store().await;
            if self.shutdown.drain.is_cancelled() {
                break;
            }
            let Some(delivery) = self.pull().await? else {
                if until_empty && running.is_empty() && self.is_empty().await? {
                    return Ok(taken);
                }
                continue;
            };
            taken += 1;
            let worker = Arc::clone(self);
            running.spawn(async move { (worker.process(delivery).await, permit) });
        }
        Ok(taken)
    }

    /// One message, or none within a second.
    async fn pull(&self) -> anyhow::Result<Option<Delivery>> {
        match pull::one(&self.consumer).await {
            Ok(Some(message)) => Delivery::new(message).map(Some),
            Ok(None) => Ok(None),
            Err(error) => self.pull_failed(error).await,
        }
    }

    /// An outage is waited out; a consumer that is gone ends the worker.
    async fn pull_failed(&self, error: anyhow::Error) -> anyhow::Result<Option<Delivery>> {
        tracing::warn!(error = format!("{error:#}"), "cannot take a job");
        self.deps.health.down("queue", format!("{error:#}"));
        tokio::select! {
            usable = self.deps.queue.wait_usable(S::NAME) => usable.context("cannot take jobs any more")?,
            () = self.shutdown.drain.cancelled() => return Ok(None),
        }
        self.deps.health.up("queue");
        tokio::time::sleep(pull::PULL).await;
        Ok(None)
    }

    /// Jobs that would only meet the same outage stay in the queue, for a worker that has a store.
    async fn wait_for_store(&self) {
        while self.outage.load(Ordering::Relaxed) && !self.shutdown.drain.is_cancelled() {
            let tried = tokio::select! {
                tried = self.deps.store.try_out() => tried,
                () = self.shutdown.drain.cancelled() => return,
            };
            match tried {
                Ok(()) => {
                    self.deps.health.up("bucket");
                    self.outage.store(false, Ordering::Relaxed);
                }
                Err(failure) => {
                    self.deps.health.down("bucket", failure);
                    tokio::time::sleep(pull::PULL).await;
                }
            }
        }
    }

    async fn is_empty(&self) -> anyhow::Result<bool> {
        let info = self.consumer.get_info().await?;
        Ok(info.num_pending == 0 && info.num_ack_pending == 0)
    }

    /// Lets running work end; after the grace, or at a second signal, has it handed back.
    async fn drain(&self, mut running: JoinSet<Ended>) -> anyhow::Result<()> {
        tracing::info!(jobs = running.len(), "draining");
        self.deps.health.down("queue", "draining");
        let mut all = Ok(());
        while let Some(ended) = running.join_next().await {
            all = all.and(settled(ended));
        }
        all
    }
}

/// A job's own failure never comes out here; what does ends the worker.
fn settled(ended: Result<Ended, JoinError>) -> anyhow::Result<()> {
    ended.context("a job's task panicked")?.0
}

fn default_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let host = if host.is_empty() { "worker".to_owned() } else { host };
    format!("{host}-{}", std::process::id())
}
