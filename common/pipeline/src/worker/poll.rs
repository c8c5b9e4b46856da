//! Taking jobs: a free permit, a store that answers, one pull of one message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::announce::{Announced, announce};
use super::attempt::Attempt;
use super::breaker::Breaker;
use super::cancel::Cancels;
use super::settle::Consequence;
use super::slot::Slot;
use super::{Env, Shared, watch};
use crate::delivery::Delivery;
use crate::health::Part;
use crate::queue::pull::Puller;
use crate::shutdown::Shutdown;
use crate::stage::Stage;

/// Pause after a failure to reach the queue or the store.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// A worker that has jobs looks for further ones so soon after it has taken one, when the stage knows of it,
/// and less and less often while there are none.
const SOON: Duration = Duration::from_millis(25);
const SELDOM: Duration = Duration::from_secs(1);

pub(super) struct Worker<S> {
    stage: Arc<S>,
    pub(super) shared: Arc<Shared>,
    breaker: Breaker,
    /// An attempt met an outage: jobs wait in the queue until the store answers.
    outage: AtomicBool,
    /// The drain, or a job's end that nobody has looked at and after which the worker cannot go on.
    pub(super) halt: CancellationToken,
    _watching: JoinSet<()>,
}

/// How a job's task ended. Where the job says so, its slot was free before, because nothing could be wrong with the
/// worker. Else it is free when this has been looked at: a worker that cannot go on takes no further job.
type Ended = (anyhow::Result<()>, Slot);

/// What a worker does beside taking jobs.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<Ended>,
    /// Jobs that are handed back at once, because there is no permit for them.
    pub(super) returning: JoinSet<anyhow::Result<()>>,
}

impl<S: Stage> Worker<S> {
    /// The stage runs on the runtime beside it.
    pub(super) async fn start((stage, stages): (S, Handle), env: Env, shutdown: Shutdown) -> anyhow::Result<Arc<Self>> {
        env.options.check()?;
        let step = env.queue.step(S::NAME)?;
        env.queue.warn_of_old_server();
        let pools = env.options.pool_names();
        env.queue.wait_usable(S::NAME, &pools).await?;
        let stream = env.queue.names().stream(&step.stream());
        let (created, ack_wait) = env.queue.terms(step, &pools).await?;
        let name = env.options.name.clone().unwrap_or_else(default_name);
        let cancels = Cancels::listen(&env.queue).await?;
        env.health.up(Part::Queue);
        let mut watching = JoinSet::new();
        watching.spawn(watch::link(env.queue.link_state(), env.health.clone()));
        watching.spawn(watch::streams(env.queue.clone(), (S::NAME, pools), env.health.clone()));
        tracing::info!(worker = name, stage = S::NAME, stream, pools = ?env.options.pools, "taking jobs");
        let model = stage.model().to_owned();
        let pools = env.options.pool_names();
        let own = Announced { stage: S::NAME, worker: name.clone(), pools, model: model.clone(), about: stage.about() };
        watching.spawn(announce(env.queue.clone(), own));
        let ends = env.store.apart();
        let shared = Shared { env, step, name, model, shutdown, stream, created, ack_wait, cancels, stages, ends };
        let halt = shared.shutdown.drain.child_token();
        let (stage, shared, breaker) = (Arc::new(stage), Arc::new(shared), Breaker::default());
        Ok(Arc::new(Self { stage, shared, breaker, outage: AtomicBool::new(false), halt, _watching: watching }))
    }

    pub(super) async fn serve(self: &Arc<Self>, until_empty: bool) -> anyhow::Result<usize> {
        let (mut tasks, Shared { env, step, .. }) = (Tasks::default(), &*self.shared);
        let mut puller = Puller::new(&env.queue, step, &env.options.pools);
        let taken = self.take_jobs(&mut puller, &mut tasks, until_empty).await;
        self.take_back(&mut puller, &mut tasks).await;
        let shutdown = &self.shared.shutdown;
        if taken.is_ok() && !shutdown.drain.is_cancelled() {
            return taken;
        }
        if taken.is_err() {
            // This worker cannot go on; jobs beside the one that says so are handed back.
            shutdown.stop.cancel();
        }
        let drained = self.drain(tasks).await;
        taken.and_then(|taken| drained.map(|()| taken))
    }

    async fn take_jobs(
        self: &Arc<Self>,
        puller: &mut Puller,
        tasks: &mut Tasks,
        until_empty: bool,
    ) -> anyhow::Result<usize> {
        let Shared { env, shutdown, .. } = &*self.shared;
        let most = usize::from(env.options.jobs_at_a_time(self.stage.together()));
        // Jobs that do not go together are worked on beside each other because the operator says so: then each
        // permit waits for a job, as a worker of its own would.
        let batches = self.stage.together() > 1;
        let permits = Arc::new(Semaphore::new(most));
        let (mut taken, mut pause, mut next_look) = (0, SOON, Instant::now());
        while !shutdown.drain.is_cancelled() {
            let Some(permit) = self.permit(&permits, tasks).await? else { continue };
            if self.outage.load(Ordering::Relaxed) {
                self.take_back(puller, tasks).await;
                self.wait_for_store().await;
            }
            tasks.returned(until_empty).await?;
            if until_empty && tasks.running.is_empty() && self.is_empty().await? {
                return Ok(taken);
            }
            let busy = batches && permits.available_permits() + 1 < most;
            if busy && (Instant::now() < next_look || !self.stage.has_room()) {
                tokio::select! {
                    Some(ended) = tasks.running.join_next() => settled(ended)?,
                    () = tokio::time::sleep(pause) => {}
                    () = shutdown.drain.cancelled() => break,
                }
                continue;
            }
            let free = if batches { 1 } else { permits.available_permits() + 1 };
            let pulled = self.pull((puller, free), tasks, busy).await?;
            pause = if pulled.is_some() { SOON } else { (pause * 2).min(SELDOM) };
            next_look = Instant::now() + pause;
            let Some(delivery) = pulled else { continue };
            taken += 1;
            let (worker, slot) = (Arc::clone(self), Slot::new(permit));
            // Where the end is an empty queue, nothing else is taken before a job is settled.
            let own = if until_empty { Slot::default() } else { slot.clone() };
            tasks.running.spawn(async move { (worker.process(delivery, own).await, slot) });
            self.take_back_if_full(puller, tasks).await;
        }
        Ok(taken)
    }

    /// Room for a job; none where something else has happened, which has been looked at.
    async fn permit(
        &self,
        permits: &Arc<Semaphore>,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Option<OwnedSemaphorePermit>> {
        if self.halt.is_cancelled() {
            // Some job's task says in a moment why the worker cannot go on; until then none is taken.
            tasks.running.join_next().await.map_or(Ok(()), settled)?;
            return Ok(None);
        }
        tokio::select! {
            biased;
            () = self.halt.cancelled() => Ok(None),
            Some(ended) = tasks.running.join_next() => settled(ended).map(|()| None),
            permit = Arc::clone(permits).acquire_owned() => Ok(Some(permit?)),
        }
    }

    async fn process(self: Arc<Self>, delivery: Delivery, slot: Slot) -> anyhow::Result<()> {
        // Other slots may wait for jobs just now.
        let unless_good = self.halt.clone().drop_guard();
        self.work_on(delivery, slot).await?;
        unless_good.disarm();
        Ok(())
    }

    async fn work_on(&self, delivery: Delivery, slot: Slot) -> anyhow::Result<()> {
        let attempt = Attempt::begin(Arc::clone(&self.shared), delivery, slot).await;
        let job = attempt.job().clone();
        let consequence = attempt.live(&self.stage).await?;
        match consequence {
            Consequence::Good => self.breaker.good(),
            Consequence::Neutral => {}
            Consequence::Outage => self.outage.store(true, Ordering::Relaxed),
            Consequence::Bad => self.breaker.bad(&job, self.shared.env.options.break_after)?,
        }
        Ok(())
    }

    /// Jobs that would only meet the same outage stay in the queue, for a worker that has a store.
    async fn wait_for_store(&self) {
        let Shared { env, shutdown, .. } = &*self.shared;
        while self.outage.load(Ordering::Relaxed) && !shutdown.drain.is_cancelled() {
            let tried = tokio::select! {
                tried = env.store.try_out() => tried,
                () = shutdown.drain.cancelled() => return,
            };
            match tried {
                Ok(()) => {
                    env.health.up(Part::Store);
                    self.outage.store(false, Ordering::Relaxed);
                }
                Err(failure) => {
                    env.health.down(Part::Store, failure);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn is_empty(&self) -> anyhow::Result<bool> {
        let Shared { env, step, .. } = &*self.shared;
        for pool in env.options.pool_names() {
            let state = env.queue.pool_state(step, &pool).await?;
            if state.waiting + state.in_work > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets running work end; after the grace, or at a second signal, has it handed back.
    async fn drain(&self, mut tasks: Tasks) -> anyhow::Result<()> {
        tracing::info!(jobs = tasks.running.len(), "draining: finishing the running jobs, taking no others");
        self.shared.env.health.down(Part::Queue, "draining: finishing the running jobs, taking no others");
        let mut all = Ok(());
        while let Some(ended) = tasks.running.join_next().await {
            all = all.and(settled(ended));
        }
        all.and(tasks.returned(true).await)
    }
}

impl Tasks {
    /// What came of handing back: of all of it, or of what has ended by now.
    async fn returned(&mut self, all: bool) -> anyhow::Result<()> {
        loop {
            let ended = if all { self.returning.join_next().await } else { self.returning.try_join_next() };
            let Some(ended) = ended else { return Ok(()) };
            ended.context("the task that hands jobs back panicked")??;
        }
    }
}

/// A job's own failure never comes out here; what does ends the worker.
fn settled(ended: Result<Ended, JoinError>) -> anyhow::Result<()> {
    ended.context("the worker's own task for a job panicked")?.0
}

fn default_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let host = if host.is_empty() { "worker".to_owned() } else { host };
    format!("{host}-{}", std::process::id())
}
